/**
 * Bar: the small Llama that comes along over five thousand generated files that it was not trained on, through its engine:
 * every answer valid against its schema, and as many exactly right as PyTorch had (96 %), within one point.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import Ajv from "ajv";
import { makeDocuments } from "../scripts/models/documents/documents.ts";
import { exampleOf } from "../scripts/models/llama/answers.ts";
import { inputSpec } from "../src/contract/run-spec.ts";
import type { FileAnswer } from "../src/worker/inference/engine-protocol.ts";
import { openBenchEngine } from "./shared/bench-engine.ts";
import { report, round, scratch } from "./shared/support.ts";

const FILES = Number(process.env["BENCH_FILES"] ?? 5_000);
/** Of none of the documents that the model was trained on or measured with before. */
const SEED = 77;
const PYTORCH_EXACT = 0.96;
const MODEL = resolve("models/extract-llama");

const schema = JSON.parse(readFileSync(join(MODEL, "schema.json"), "utf8")) as object;
const isValid = new Ajv({ validateSchema: false }).compile({ ...schema, $schema: undefined });

using folder = scratch("generate-files");
const root = join(folder.path, "in");
mkdirSync(root);
const examples = makeDocuments(FILES, SEED).map(exampleOf);
const paths = examples.map(({ text }, at) => {
  writeFileSync(join(root, `f${at}`), text);
  return `f${at}`;
});
await using bench = openBenchEngine(MODEL);
await bench.engine.ready();
const input = inputSpec.parse({ kind: "tree", root });
const placeId = bench.engine.addPlace({ input, inputRules: { minBytes: 0 }, inputRoot: undefined });
const answers = new Map<number, FileAnswer>();
const startedMs = performance.now();
await new Promise<void>((done, failed) => {
  bench.engine.submit({
    ...{ placeId, paths, onBroken: failed },
    onAnswers: (told) => {
      for (const { at, answer } of told) answers.set(at, answer);
      if (answers.size === FILES) done();
    },
  });
});
const seconds = (performance.now() - startedMs) / 1_000;
let [valid, exact] = [0, 0];
for (const [at, answer] of answers) {
  if (answer.kind !== "answer" || answer.inference.value.task !== "generate") continue;
  const said = answer.inference.value.answer;
  if (isValid(said)) valid += 1;
  if (JSON.stringify(said) === examples[at]?.answer) exact += 1;
}
report("generate-files", {
  files: FILES,
  valid: round(valid / FILES, 4),
  exact: round(exact / FILES, 4),
  pytorchExact: PYTORCH_EXACT,
  filesPerSecond: round(FILES / seconds, 1),
  bar: "valid = 1, exact >= 0.95",
});
