import { describe, expect, test } from "vitest";
import { NewerSpecError } from "../../../src/contract/errors.ts";
import { readRunSpec, runSpec } from "../../../src/contract/run-spec.ts";

const spec = runSpec.parse({
  ...{
    command: ["/bin/cat", "{input}"],
    input: { kind: "tree", root: "/in" },
    output: { root: "/out", from: "stdout" },
  },
});
const read = (more: object) => () => readRunSpec(JSON.stringify({ ...spec, ...more }));

describe("a run's specification", () => {
  test("is read as it was written", () => {
    expect(read({})()).toEqual(spec);
  });

  test.each([
    ["a field", { shrunk: true }, ["shrunk"]],
    ["a field within", { chunk: { ...spec.chunk, madeUp: 1 } }, ["chunk.madeUp"]],
    ["a version", { version: 2 }, ["version"]],
    ["a value", { executor: "hologram" }, ["executor"]],
    ["a value within", { output: { ...spec.output, from: "tape" } }, ["output.from"]],
    ["a kind", { input: { kind: "bucket", root: "/in" } }, ["input.kind"]],
  ])("with %s that this version does not know is of a newer one", (_, more, fields) => {
    expect(read(more)).toThrow(expect.objectContaining({ fields }) as Error);
    expect(read(more)).toThrow(NewerSpecError);
  });

  test("that lacks something is none", () => {
    expect(read({ command: undefined })).toThrow("command");
    expect(read({ command: undefined })).not.toThrow(NewerSpecError);
  });
});
