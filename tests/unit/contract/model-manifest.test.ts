import { describe, expect, test } from "vitest";
import { checkManifest } from "../../../src/contract/model-manifest.ts";

const good = {
  name: "kinds",
  task: "classify",
  model: { file: "m.onnx", sha256: "0".repeat(64) },
  input: { kind: "bytes", tensor: "bytes", windows: [{ at: "head", length: 16 }] },
  output: { tensor: "probs" },
  labels: ["a", "b"],
};

function faults(change: object): string[] {
  const checked = checkManifest({ ...good, ...change });
  return checked.kind === "valid"
    ? []
    : checked.faults.map(({ where, expected, found }) => `${where}: expected ${expected}, found ${found}`);
}

describe("manifest of a model", () => {
  test("is complete with its defaults", () => {
    const checked = checkManifest(good);
    expect(checked).toMatchObject({
      kind: "valid",
      manifest: {
        version: 1,
        providers: ["cpu"],
        batch: { max_rows: 128, max_bytes: 67_108_864, wait_ms: 2 },
        engine: { threads: 1, batch_timeout_seconds: 120 },
        output: { activation: "softmax", top: 1, fallback: "unknown" },
      },
    });
  });

  test.each<[string, object, string]>([
    [
      "an unknown key",
      { lables: [] },
      'lables: expected a known key (did you mean "labels"?), found the unknown key "lables"',
    ],
    [
      "an unknown task",
      { task: "clasify" },
      'task: expected one of classify, multi-label, regress, embed, custom, generate (did you mean "classify"?), found "clasify"',
    ],
    [
      "a file outside the folder",
      { model: { file: "../m.onnx", sha256: good.model.sha256 } },
      'model.file: expected the name of a file inside the model\'s folder, without .. parts, found "../m.onnx"',
    ],
    [
      "a digest that is none",
      { model: { file: "m.onnx", sha256: "ab" } },
      'model.sha256: expected 64 hexadecimal digits in lower case, found "ab"',
    ],
    [
      "no labels",
      { labels: undefined },
      "labels: expected a list of labels, or { file, sha256 } of a text with one label on each line, found nothing",
    ],
    ["a label twice", { labels: ["a", "b", "a"] }, 'labels[2]: expected a label of its own, found "a"'],
    [
      "a threshold of no label",
      { output: { tensor: "y", thresholds: { labels: { z: 1 } } } },
      "output.thresholds.labels.z: expected as its key one of the labels, found 1",
    ],
    [
      "a share above one",
      { output: { tensor: "y", thresholds: { default: 2 } } },
      "output.thresholds.default: expected a number, 1 at most, found 2",
    ],
    [
      "an unknown provider",
      { providers: ["gpu"] },
      'providers[0]: expected one of cuda, webgpu, cpu (did you mean "cpu"?), found "gpu"',
    ],
    [
      "a block that is shorter than a window",
      { input: { ...good.input, block_bytes: 8 } },
      "input.block_bytes: expected 16 at least, the longest window, found 8",
    ],
    [
      "a budget of tokens for bytes",
      { batch: { max_tokens: 4_096 } },
      "batch.max_tokens: expected none: only texts and prompts have tokens, found 4096",
    ],
    [
      "a budget that the longest text does not fit",
      {
        ...{ input: { kind: "text", tokenizer: { file: "t.json", sha256: "0".repeat(64) }, tensors: { ids: "x" } } },
        model: { ...good.model, variants: [{ ...good.model, providers: ["cuda"], batch: { max_tokens: 100 } }] },
      },
      "model.variants[0].batch.max_tokens: expected 512 at least, as input.max_tokens says, found 100",
    ],
  ])("is refused for %s", (_name, change, message) => {
    expect(faults(change)).toContain(message);
  });

  test("tells of every fault at once", () => {
    expect(faults({ name: "Not Good", model: { file: "", sha256: "x" } })).toHaveLength(3);
  });
});
