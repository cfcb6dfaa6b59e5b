/** A model over texts, with a tokenizer of whole words. */
import { hash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Scratch } from "./scratch.ts";
import { hungryModel, modelFolder, tinyOnnx } from "./tiny-onnx.ts";

/** The vector of a token is its number, and ten times that; of an unknown one, 100 twice. */
const table = tinyOnnx({
  inputs: [["ids", "int64", ["batch", "tokens"]]],
  outputs: [["y", "float32", ["batch", "tokens", 2]]],
  constants: [{ name: "table", dims: [3, 2], data: Float32Array.from([100, 100, 1, 10, 2, 20]) }],
  nodes: [{ op: "Gather", in: ["table", "ids"], out: "y" }],
});

/** A `tokenizer.json` with an id for each word. */
export function wordTokenizer(vocab: object): string {
  return JSON.stringify({
    version: "1.0",
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: "Whitespace" },
    post_processor: null,
    decoder: null,
    model: { type: "WordLevel", vocab, unk_token: "[UNK]" },
  });
}

/** A folder of a model that has a vector for each of three words; it says the one of the first, or the mean of all. */
export function textModel(
  scratch: Scratch,
  tokenizer: string,
  ...[input = {}, pool = "first", batch = {}]: [input?: object, pool?: string, batch?: object]
): string {
  const folder = modelFolder(scratch, "text-model", table, {
    task: "embed",
    input: {
      kind: "text",
      tokenizer: { file: "t.json", sha256: hash("sha256", tokenizer, "hex") },
      tensors: { ids: "ids" },
      ...input,
    },
    output: { tensor: "y", pool, normalize: false },
    batch,
  });
  writeFileSync(join(folder, "t.json"), tokenizer);
  return folder;
}

/** A folder of a model that takes the more memory the more tokens its texts have, 2,000 at most. */
export function hungryTextModel(scratch: Scratch, tokenizer: string, maxRows: number): string {
  const folder = modelFolder(scratch, "model", hungryModel("int64"), {
    task: "regress",
    input: {
      kind: "text",
      tokenizer: { file: "tokenizer.json", sha256: hash("sha256", tokenizer, "hex") },
      tensors: { ids: "x" },
      max_tokens: 2_000,
    },
    output: { tensor: "y" },
    batch: { max_rows: maxRows },
  });
  writeFileSync(join(folder, "tokenizer.json"), tokenizer);
  return folder;
}
