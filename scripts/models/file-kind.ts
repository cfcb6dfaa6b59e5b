/**
 * Trains the classifier of models/file-kind, writes its ONNX file and the digests in its manifest, and says how it does
 * on real files of packages that it was not trained on.
 *
 *     node --import ./scripts/ts-loader.js scripts/models/file-kind.ts
 */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { bytesOf } from "./file-kind/corpus.ts";
import { exportClassifier } from "./file-kind/export.ts";
import { fileKinds } from "./file-kind/kinds.ts";
import { heldOutSamples, recipe, trainByRecipe } from "./file-kind/recipe.ts";
import { classify } from "./file-kind/train.ts";
import { trigramsOf } from "./file-kind/trigrams.ts";
import { pinFiles } from "./pin.ts";

const folder = fileURLToPath(new URL("../../models/file-kind/", import.meta.url));
const model = trainByRecipe(recipe);
writeFileSync(`${folder}model.onnx`, exportClassifier(model));
writeFileSync(`${folder}labels.txt`, fileKinds.map((kind) => `${kind}\n`).join(""));
pinFiles(folder);

const told = heldOutSamples().map((sample) => {
  const found = fileKinds[classify(model, trigramsOf(bytesOf(sample)))] ?? "none";
  return { kind: sample.kind, found };
});
const right = told.filter(({ kind, found }) => kind === found).length;
process.stdout.write(`held-out real files: ${right} of ${told.length} right\n`);
for (const kind of fileKinds) {
  const own = told.filter((entry) => entry.kind === kind);
  const wrong = own.filter(({ found }) => found !== kind).map(({ found }) => found);
  const confused = [...new Set(wrong)].map((found) => `${found} ${wrong.filter((name) => name === found).length}`);
  process.stdout.write(`${kind}: ${own.length - wrong.length} of ${own.length} ${confused.join(", ")}\n`);
}
