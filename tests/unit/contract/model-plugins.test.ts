import { expect, test } from "vitest";
import { parseAllow } from "../../../src/contract/allow.ts";
import { checkManifest } from "../../../src/contract/model-manifest.ts";
import { pluginFaults, pluginsOf } from "../../../src/contract/model-plugins.ts";

const digest = "ab".repeat(32);
const plugin = { kind: "plugin", file: "own.mjs", sha256: digest };
const usual = {
  name: "m",
  task: "custom",
  model: { file: "m.onnx", sha256: "0".repeat(64) },
  input: { ...plugin, tensors: [{ tensor: "x", shape: [2] }] },
  output: { ...plugin, tensors: ["y"] },
};

function faultsOf(change: object): string[] {
  const checked = checkManifest({ ...usual, ...change });
  return checked.kind === "valid" ? [] : checked.faults.map(({ where, expected }) => `${where}: ${expected}`);
}

test("code runs where its digest is named or any is said, and not where nothing is", () => {
  const checked = checkManifest(usual);
  if (checked.kind === "faulty") throw new TypeError(JSON.stringify(checked.faults));
  const plugins = pluginsOf(checked.manifest);
  expect(plugins.map(({ role }) => role)).toEqual(["input", "output"]);
  const placesOf = (allow: object) => pluginFaults(plugins, parseAllow(allow).model_plugins).map(({ where }) => where);
  expect(placesOf({})).toEqual(["input.sha256", "output.sha256"]);
  expect(placesOf({ model_plugins: [] })).toEqual(["input.sha256", "output.sha256"]);
  expect(placesOf({ model_plugins: ["0".repeat(64)] })).toEqual(["input.sha256", "output.sha256"]);
  expect(placesOf({ model_plugins: [digest] })).toEqual([]);
  expect(placesOf({ model_plugins: "any" })).toEqual([]);
});

test("the rule is told its faults", () => {
  expect(() => parseAllow({ model_plugins: [digest.toUpperCase()] })).toThrow(
    "allow.model_plugins[0]: expected 64 hexadecimal digits in lower case",
  );
  const written: object = { model_plugins: digest };
  expect(() => parseAllow(written)).toThrow('allow.model_plugins: expected "any", or a list of SHA-256 digests');
});

test("a manifest with plugins is told its faults", () => {
  expect(faultsOf({})).toEqual([]);
  const tensors = (...shapes: number[][]) => ({
    input: { ...plugin, tensors: shapes.map((shape) => ({ tensor: "x", shape })) },
  });
  expect(faultsOf(tensors([2], [2]))).toEqual(["input.tensors[1].tensor: each tensor once"]);
  expect(faultsOf(tensors([8_193, 8_192]))).toEqual(["input.tensors[0].shape: 67108864 values for one file at most"]);
  expect(faultsOf({ output: { tensor: "y" } })).not.toEqual([]);
  const tokenizer = { file: "t.json", sha256: digest };
  const text = { kind: "text", tokenizer, tensors: { ids: "x" }, too_long: "split" };
  expect(faultsOf({ input: text })).toEqual(["input.too_long: truncate or fail: a plugin tells the answer of one row"]);
});
