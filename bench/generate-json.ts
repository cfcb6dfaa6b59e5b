/**
 * Bar: answers held to a schema whose answers can be listed, by a trie of tokens that jumps over forced ones, against one
 * run of the model for each token under the same mask. Beside them, in the same run, the loop inside the graph.
 */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { makeDocuments } from "../scripts/models/documents/documents.ts";
import { exampleOf } from "../scripts/models/llama/answers.ts";
import { loadLlamaConfig } from "../scripts/models/llama/config.ts";
import { exportLoop } from "../scripts/models/llama/export-loop.ts";
import { loadSafetensors } from "../scripts/models/llama/safetensors.ts";
import { listAnswers } from "../src/contract/answer-list.ts";
import { parseAnswerSchema } from "../src/contract/answer-schema.ts";
import type { JsonSchema } from "../src/contract/json-schema.ts";
import { decodeBatch, type DecodedBatch } from "../src/worker/inference/generation/decode.ts";
import { decodeInGraph } from "../src/worker/inference/generation/in-graph.ts";
import { messagesFor, parsePromptTemplate } from "../src/worker/inference/generation/prompt-template.ts";
import { TextCodec } from "../src/worker/inference/generation/text-codec.ts";
import { TokenTrie } from "../src/worker/inference/generation/token-trie.ts";
import { openOnnx } from "../tests/support/onnx-session.ts";
import { median, report, round } from "./shared/support.ts";

const FILES = Number(process.env["BENCH_FILES"] ?? 256);
const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 3);
const SIZES = [1, 8, 32];
const SEED = 12;

const folder = resolve("models/extract-llama");
const read = (name: string) => readFileSync(join(folder, name), "utf8");
const codec = new TextCodec(read("tokenizer.json"), read("tokenizer_config.json"));
const config = loadLlamaConfig(join(folder, "config.json"));
const answers = listAnswers(parseAnswerSchema(JSON.parse(read("schema.json")) as JsonSchema), 5_000) ?? [];
const trie = new TokenTrie(
  answers.map((answer) => codec.encode(answer)),
  codec.vocabulary.endToken,
);
const template = parsePromptTemplate(read("prompt.yaml"));
const examples = makeDocuments(FILES, SEED).map(exampleOf);
const prompts = examples.map(({ text }) => codec.encode(codec.prompt(messagesFor(template, text))));

const session = await openOnnx(join(folder, "model.onnx"));
const loop = await openOnnx(exportLoop(loadSafetensors(join(folder, "model.safetensors")), config));
const { padToken } = codec;
const shape = {
  layers: config.num_hidden_layers,
  keyValueHeads: config.num_key_value_heads,
  headSize: config.head_dim,
  vocabularySize: config.vocab_size,
  padToken,
};

type Way = (batch: readonly (readonly number[])[]) => Promise<DecodedBatch>;
const ways = {
  plain: (batch) => decodeBatch(batch, { session, shape, constraint: trie, jumpsAhead: false }),
  trie: (batch) => decodeBatch(batch, { session, shape, constraint: trie }),
  inGraph: (batch) => decodeInGraph(batch, { session: loop, trie, endToken: codec.vocabulary.endToken, padToken }),
} satisfies Record<string, Way>;
type WayName = keyof typeof ways;

interface Measured {
  readonly filesPerSecond: number;
  readonly runsPerBatch: number;
  readonly exact: number;
}

async function measure(way: Way, rows: number): Promise<Measured> {
  let [runs, exact] = [0, 0];
  const startedMs = performance.now();
  for (let at = 0; at < FILES; at += rows) {
    const batch = await way(prompts.slice(at, at + rows));
    runs += batch.runs;
    for (const [row, { tokens }] of batch.answers.entries()) {
      if (codec.decode(tokens) === examples[at + row]?.answer) exact++;
    }
  }
  const seconds = (performance.now() - startedMs) / 1_000;
  return { filesPerSecond: FILES / seconds, runsPerBatch: runs / Math.ceil(FILES / rows), exact: exact / FILES };
}

const sizes: Record<string, unknown> = {};
for (const rows of SIZES) {
  const rounds: Record<WayName, Measured>[] = [];
  for (const way of Object.values(ways)) await way(prompts.slice(0, rows));
  for (let at = 0; at < ROUNDS; at++) {
    // Side by side, so that what else goes on here meets all of them.
    rounds.push({
      plain: await measure(ways.plain, rows),
      trie: await measure(ways.trie, rows),
      inGraph: await measure(ways.inGraph, rows),
    });
  }
  const rate = (name: WayName) => median(rounds.map((round) => round[name].filesPerSecond));
  const ratio = (name: WayName) => median(rounds.map((all) => all[name].filesPerSecond / all.plain.filesPerSecond));
  const [first] = rounds;
  sizes[`batch${rows}`] = {
    filesPerSecond: round(rate("trie"), 1),
    plainFilesPerSecond: round(rate("plain"), 1),
    inGraphFilesPerSecond: round(rate("inGraph"), 1),
    ratio: round(ratio("trie"), 2),
    inGraphRatio: round(ratio("inGraph"), 2),
    runsPerBatch: [first?.trie.runsPerBatch, first?.plain.runsPerBatch],
    exact: [first?.trie.exact, first?.plain.exact, first?.inGraph.exact].map((share) => round(share ?? 0)),
  };
}
report("generate-json", { files: FILES, rounds: ROUNDS, ...sizes });
