import { describe, expect, test } from "vitest";
import { checkManifest } from "../../../../src/contract/model-manifest.ts";
import { fitFaults, outputFault } from "../../../../src/worker/inference/model-fit.ts";

const checked = checkManifest({
  name: "m",
  task: "classify",
  model: { file: "m.onnx", sha256: "0".repeat(64) },
  input: { kind: "bytes", tensor: "bytes", windows: [{ at: "head", length: 8 }] },
  output: { tensor: "probs" },
  labels: ["a", "b"],
});
if (checked.kind === "faulty") throw new TypeError(JSON.stringify(checked.faults));
const { manifest } = checked;
if (manifest.task === "generate") throw new TypeError("expected a manifest of tensors");
const model = {
  inputs: [{ name: "bytes", type: "uint8", shape: ["batch", 8] }],
  outputs: [{ name: "probs", type: "float32", shape: ["batch", 2] }],
} as const;

describe("fit of a manifest and its model", () => {
  test("has no fault where names, types and sizes are the same", () => {
    expect(fitFaults(manifest, model, ["a", "b"])).toEqual([]);
  });

  test.each([
    [
      "another name of an input",
      { inputs: [{ name: "x", type: "uint8", shape: ["b", 8] }] },
      ["input.tensor", "input"],
    ],
    [
      "an input that nobody fills",
      { inputs: [...model.inputs, { name: "mask", type: "int64", shape: ["b", 8] }] },
      ["input"],
    ],
    ["another length", { inputs: [{ name: "bytes", type: "uint8", shape: ["b", 9] }] }, ["input.tensor"]],
    [
      "a type that nobody can write",
      { inputs: [{ name: "bytes", type: "string", shape: ["b", 8] }] },
      ["input.tensor"],
    ],
    ["three dimensions", { inputs: [{ name: "bytes", type: "uint8", shape: ["b", 8, 1] }] }, ["input.tensor"]],
    ["another name of the output", { outputs: [{ name: "y", type: "float32", shape: ["b", 2] }] }, ["output.tensor"]],
    ["an output of texts", { outputs: [{ name: "probs", type: "string", shape: ["b", 2] }] }, ["output.tensor"]],
    ["another number of labels", { outputs: [{ name: "probs", type: "float32", shape: ["b", 3] }] }, ["labels"]],
  ])("tells of %s at its place", (_name, change, places) => {
    expect(fitFaults(manifest, { ...model, ...change }, ["a", "b"]).map(({ where }) => where)).toEqual(places);
  });

  test("tells of sizes that only the real output shows", () => {
    expect(outputFault(manifest, [{ dims: [4, 2] }], 4, ["a", "b"])).toBeUndefined();
    expect(outputFault(manifest, [{ dims: [4, 3] }], 4, ["a", "b"])).toMatchObject({ where: "labels", found: "2" });
    expect(outputFault(manifest, [{ dims: [1, 2] }], 4, ["a", "b"])).toMatchObject({
      where: "output.tensor",
      found: "[1, 2]",
    });
  });

  test("takes 16-bit floats for input and output", () => {
    const half = {
      inputs: [{ name: "bytes", type: "float16", shape: ["b", 8] }],
      outputs: [{ name: "probs", type: "float16", shape: ["b", 2] }],
    };
    expect(fitFaults(manifest, half, ["a", "b"])).toEqual([]);
  });
});

describe("fit of an image and its model", () => {
  const image = { kind: "image", tensor: "x", width: 8, height: 6 };
  const manifestOf = (input: object) => {
    const made = checkManifest({ ...manifest, labels: ["a", "b"], input: { ...image, ...input } });
    if (made.kind === "faulty" || made.manifest.task === "generate") throw new TypeError(JSON.stringify(made));
    return made.manifest;
  };
  const taking = (...shape: (number | string)[]) => ({ ...model, inputs: [{ name: "x", type: "float32", shape }] });

  test("is there where colours, sides and layout are the model's, or left open by it", () => {
    expect(fitFaults(manifestOf({}), taking("b", 3, 6, 8), ["a", "b"])).toEqual([]);
    expect(fitFaults(manifestOf({ layout: "nhwc" }), taking("b", 6, 8, 3), ["a", "b"])).toEqual([]);
    expect(fitFaults(manifestOf({ colors: "grey" }), taking(1, 1, "h", "w"), ["a", "b"])).toEqual([]);
  });

  test.each([
    [{}, ["b", 3, 8, 6]],
    [{}, ["b", 6, 8, 3]],
    [{ colors: "grey" }, ["b", 3, 6, 8]],
    [{}, ["b", 144]],
  ])("is told of where %j is not what the model takes, %j", (input, shape) => {
    expect(fitFaults(manifestOf(input), taking(...shape), ["a", "b"])).toMatchObject([
      { where: "input", expected: `the size, colors and layout of the input x: [${shape.join(", ")}]` },
    ]);
  });
});
