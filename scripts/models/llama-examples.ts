/**
 * Writes examples for scripts/models/llama/train.py, one JSON object a line.
 *
 *     node --import ./scripts/ts-loader.js scripts/models/llama-examples.ts COUNT SEED > examples.jsonl
 */
import { makeDocuments } from "./documents/documents.ts";
import { exampleOf } from "./llama/answers.ts";

const [count, seed] = process.argv.slice(2).map(Number);
if (count === undefined || seed === undefined || !Number.isInteger(count) || !Number.isInteger(seed)) {
  process.stderr.write("expected COUNT SEED, two whole numbers\n");
  process.exitCode = 2;
} else {
  for (const document of makeDocuments(count, seed)) process.stdout.write(`${JSON.stringify(exampleOf(document))}\n`);
}
