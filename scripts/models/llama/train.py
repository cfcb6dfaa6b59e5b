#!/usr/bin/env python3
"""Trains the small Llama of models/extract-llama from examples that the repository makes.

Needs torch, transformers, tokenizers and safetensors; the repository's own tests and builds need none of them.

    node --import ./scripts/ts-loader.js scripts/models/llama-examples.ts 26000 11 > train.jsonl
    node --import ./scripts/ts-loader.js scripts/models/llama-examples.ts 512 12 > test.jsonl
    python3 scripts/models/llama/train.py train.jsonl test.jsonl OUTPUT_FOLDER

The same seed gives the same data and the same order of batches. PyTorch does not promise the same bits of the weights on
another machine or with another number of threads.
"""

import argparse
import json
import math
import random
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

SYSTEM = "Classify the file. Answer in JSON."
SPECIAL = [
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|finetune_right_pad_id|>",
]
BEGIN, END_OF_TURN, PAD = 0, 4, 5
IGNORED = -100
CHAT_TEMPLATE = (
    "{{ '<|begin_of_text|>' }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] + '<|eot_id|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
VOCABULARY = 1536
BATCH = 24
LEARNING_RATE = 1.5e-3
WARM_UP_STEPS = 50
PROMPT_LOSS_SHARE = 0.1


def read_examples(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def train_tokenizer(examples: list[dict], folder: Path) -> Tokenizer:
    """A byte-level BPE over texts and answers, with the special tokens and the chat template of Llama 3."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator((example["text"] + example["answer"] for example in examples[:4000]), trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": SPECIAL[BEGIN],
        "eos_token": SPECIAL[END_OF_TURN],
        "pad_token": SPECIAL[PAD],
        "padding_side": "left",
        "model_max_length": 2048,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return tokenizer


def prompt_of(text: str) -> str:
    turn = "<|start_header_id|>{}<|end_header_id|>\n\n{}<|eot_id|>"
    head = "<|begin_of_text|>" + turn.format("system", SYSTEM) + turn.format("user", text)
    return head + "<|start_header_id|>assistant<|end_header_id|>\n\n"


def encode(tokenizer: Tokenizer, example: dict) -> tuple[list[int], list[int]]:
    prompt = tokenizer.encode(prompt_of(example["text"]), add_special_tokens=False).ids
    answer = tokenizer.encode(example["answer"], add_special_tokens=False).ids
    return prompt, answer + [END_OF_TURN]


def create_model(vocabulary: int) -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=128,
            intermediate_size=352,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,
            max_position_embeddings=2048,
            rope_theta=10000.0,
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
            bos_token_id=BEGIN,
            eos_token_id=END_OF_TURN,
            pad_token_id=PAD,
            attention_bias=False,
        )
    )


def batches_of(rows: list[tuple[list[int], list[int]]]) -> list[list[int]]:
    """Rows of like length together, so that little is padding."""
    order = sorted(range(len(rows)), key=lambda index: len(rows[index][0]))
    batches = [order[at : at + BATCH] for at in range(0, len(order) - BATCH, BATCH)]
    random.shuffle(batches)
    return batches


def loss_of(model: LlamaForCausalLM, rows: list[tuple[list[int], list[int]]]) -> tuple[torch.Tensor, float]:
    """The loss over the answers, and a little of the loss over the prompts, which teaches what files look like."""
    length = max(len(prompt) + len(answer) for prompt, answer in rows)
    ids = torch.full((len(rows), length), PAD)
    wanted = torch.full((len(rows), length), IGNORED)
    mask = torch.zeros((len(rows), length), dtype=torch.long)
    for row, (prompt, answer) in enumerate(rows):
        end = len(prompt) + len(answer)
        ids[row, :end] = torch.tensor(prompt + answer)
        wanted[row, len(prompt) : end] = torch.tensor(answer)
        mask[row, :end] = 1
    logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1].flatten(0, 1)
    whole = torch.where(mask[:, 1:] > 0, ids[:, 1:], IGNORED).flatten()
    entropy = torch.nn.functional.cross_entropy
    answers = entropy(logits, wanted[:, 1:].flatten(), ignore_index=IGNORED)
    return answers + PROMPT_LOSS_SHARE * entropy(logits, whole, ignore_index=IGNORED), answers.item()


def train(model: LlamaForCausalLM, rows: list[tuple[list[int], list[int]]], steps: int) -> None:
    batches = batches_of(rows)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.95), weight_decay=0.01)
    started = time.time()
    for step in range(steps):
        decay = 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1, (step + 1) / WARM_UP_STEPS) * decay
        loss, shown = loss_of(model, [rows[index] for index in batches[step % len(batches)]])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 50 == 0:
            print(f"step {step} loss {shown:.4f} {time.time() - started:.0f} s", flush=True)


def exact_share(model: LlamaForCausalLM, tokenizer: Tokenizer, examples: list[dict]) -> float:
    """The share of the examples whose answer is written to the letter, without any constraint."""
    right = 0
    with torch.no_grad():
        for example in examples:
            prompt, _ = encode(tokenizer, example)
            written = model.generate(
                torch.tensor([prompt]),
                max_new_tokens=48,
                do_sample=False,
                pad_token_id=PAD,
                eos_token_id=END_OF_TURN,
            )[0][len(prompt) :]
            right += tokenizer.decode(written.tolist()) == example["answer"]
    return right / len(examples)


def main() -> None:
    parser = argparse.ArgumentParser(description="trains the small Llama of models/extract-llama")
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    random.seed(options.seed)
    torch.set_num_threads(options.threads)
    options.output.mkdir(parents=True, exist_ok=True)
    examples = read_examples(options.train)
    tokenizer = train_tokenizer(examples, options.output)
    model = create_model(tokenizer.get_vocab_size())
    train(model, [encode(tokenizer, example) for example in examples], options.steps)
    model.eval()
    model.save_pretrained(options.output, safe_serialization=True)
    print("exact answers on the test set:", exact_share(model, tokenizer, read_examples(options.test)[:200]))


if __name__ == "__main__":
    main()
