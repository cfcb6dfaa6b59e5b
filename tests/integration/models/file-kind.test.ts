/** models/file-kind is what its script makes, and does what its card says. */
import { hash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { bytesOf, isHeldOut, loadCorpus } from "../../../scripts/models/file-kind/corpus.ts";
import { exportClassifier } from "../../../scripts/models/file-kind/export.ts";
import { fileKinds, WINDOW_BYTES } from "../../../scripts/models/file-kind/kinds.ts";
import { heldOutSamples, recipe, trainByRecipe } from "../../../scripts/models/file-kind/recipe.ts";
import { classify, trainClassifier } from "../../../scripts/models/file-kind/train.ts";
import { trigramsOf } from "../../../scripts/models/file-kind/trigrams.ts";
import { loadModel } from "../../../src/platform/models/model-folder.ts";

const folder = resolve("models/file-kind");
const card = readFileSync(join(folder, "README.md"), "utf8");

/** The label of each head, by the ONNX file. */
async function labelsOf(model: Uint8Array, heads: readonly Uint8Array[]): Promise<string[]> {
  const session = await InferenceSession.create(model, { intraOpNumThreads: 1 });
  const bytes = new Uint8Array(heads.length * WINDOW_BYTES);
  for (const [row, head] of heads.entries()) bytes.set(head, row * WINDOW_BYTES);
  const { probabilities } = await session.run({ bytes: new Tensor("uint8", bytes, [heads.length, WINDOW_BYTES]) });
  const values = probabilities?.data;
  if (!(values instanceof Float32Array)) throw new TypeError("expected probabilities of 32-bit floats");
  return heads.map((_, row) => {
    const shares = values.subarray(row * fileKinds.length, (row + 1) * fileKinds.length);
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 4);
    return fileKinds[shares.indexOf(Math.max(...shares))] ?? "none";
  });
}

describe("models/file-kind", () => {
  test("training by the recipe gives the committed file, to the byte", () => {
    const made = exportClassifier(trainByRecipe(recipe));
    expect(hash("sha256", made, "hex")).toBe(hash("sha256", readFileSync(join(folder, "model.onnx")), "hex"));
  });

  test("its folder is whole: every pinned file has its digest, and the labels are its kinds", async () => {
    const { labels } = await loadModel(folder);
    expect(labels).toEqual(fileKinds);
  });

  test("it is right about as many held-out real files as its card says", async () => {
    const samples = heldOutSamples();
    const model = readFileSync(join(folder, "model.onnx"));
    const found = await labelsOf(model, samples.map(bytesOf));
    const right = found.filter((label, at) => label === samples[at]?.kind).length;
    expect(card).toContain(`${right} of ${samples.length}`);
    expect(right / samples.length).toBeGreaterThan(0.9);
    for (const kind of fileKinds) {
      const own = samples.flatMap((sample, at) => (sample.kind === kind ? [found[at]] : []));
      const ownRight = own.filter((label) => label === kind).length;
      expect(card).toMatch(new RegExp(`^\\| ${kind} +\\| ${own.length} +\\| ${ownRight} +\\|`, "m"));
    }
  });

  test("no group of files is on both sides of the split", () => {
    const groups = new Map<string, Set<boolean>>();
    for (const { group, path } of loadCorpus()) {
      expect(path.startsWith(group.split("/")[0] ?? "")).toBe(true);
      groups.set(group, (groups.get(group) ?? new Set()).add(isHeldOut(group)));
    }
    expect([...groups.values()].every((sides) => sides.size === 1)).toBe(true);
  });

  test("the graph hashes as training does: a small model says the same in both", async () => {
    const samples = heldOutSamples();
    const examples = samples.map((sample) => ({
      label: fileKinds.indexOf(sample.kind),
      trigrams: trigramsOf(bytesOf(sample)),
    }));
    const small = trainClassifier(examples, { labels: fileKinds.length, epochs: 2, seed: 1 });
    // Bytes of 0 in the middle, short files and files of one window are hashed alike.
    const heads = [
      ...samples.slice(0, 60).map(bytesOf),
      Buffer.from("a\0bcd\0\0efg"),
      Buffer.from("abc"),
      Buffer.alloc(0),
    ];
    const expected = heads.slice(0, -1).map((head) => fileKinds[classify(small, trigramsOf(head))]);
    const found = await labelsOf(exportClassifier(small), heads);
    expect(found.slice(0, -1)).toEqual(expected);
  });
});
