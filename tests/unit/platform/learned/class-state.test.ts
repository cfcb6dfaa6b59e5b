import { expect, test } from "vitest";
import { profileSchema } from "../../../../src/contract/profiles.ts";
import { MiB } from "../../../../src/contract/resources.ts";
import { ClassModel } from "../../../../src/platform/learned/class-model.ts";
import {
  addToState,
  emptyState,
  formatRecent,
  parseState,
  versionOf,
} from "../../../../src/platform/learned/class-state.ts";
import { expectationOf } from "../../../../src/platform/learned/expectation-of.ts";
import { noteOf, type Measure } from "../../../../src/platform/learned/note.ts";

const good = {
  v: "1",
  name: '{"profile":"default","command":["/bin/tool"]}',
  n: "3",
  w: "2.5",
  recent: "10,20,30,1;5,6,0,-",
  "memory:12": "2.5",
  "memory/lin.xy": "1e-7",
  "memory/lin:-3": "1",
  "shape9:20": "1",
};

test("reads what was written", () => {
  const parsed = parseState(good);
  if (parsed.kind !== "state") throw new Error(`expected a state, found ${JSON.stringify(parsed)}`);
  expect(parsed.state).toMatchObject({ name: { profile: "default", command: ["/bin/tool"] }, jobs: 3 });
  expect(formatRecent(parsed.state.recent)).toBe(good.recent);
  expect(parsed.state.sums.get("memory:12")).toBe(2.5);
  expect(parseState({})).toEqual({ kind: "none" });
});

test.each([
  ["a newer version", { v: "3", what: "ever" }, { kind: "newer", version: 3 }],
  ["no version", { files: "3", ms: "12", max: "5", b3: "3" }, { kind: "corrupt", field: "v" }],
  ["a version that is none", { ...good, v: "one" }, { kind: "corrupt", field: "v" }],
  ["a name that is none", { ...good, name: "{" }, { kind: "corrupt", field: "name" }],
  ["a job that is none", { ...good, recent: "1,2,3" }, { kind: "corrupt", field: "recent" }],
  ["a weight that is none", { ...good, "memory:12": "much" }, { kind: "corrupt", field: "memory:12", value: "much" }],
  ["a weight without end", { ...good, w: "Infinity" }, { kind: "corrupt", field: "w" }],
  ["an empty weight", { ...good, w: "" }, { kind: "corrupt", field: "w" }],
  ["a bucket out of its scale", { ...good, "memory:999": "1" }, { kind: "corrupt", field: "memory:999" }],
  ["a field that nobody knows", { ...good, colour: "1" }, { kind: "corrupt", field: "colour" }],
  ["less than no jobs", { ...good, n: "-1" }, { kind: "corrupt", field: "n" }],
])("refuses %s and says where", (_what, hash, expected) => {
  expect(parseState(hash)).toMatchObject(expected);
});

test("a state without GPUs is of the first form; one with them is of the second, and reads its jobs one by one", () => {
  const recent = [
    { inputBytes: 10, peakBytes: 20, durationMs: 30, coverage: "within", gpuBytes: 4_096 },
    { inputBytes: 5, peakBytes: 6, durationMs: 0, coverage: "open" },
  ] as const;
  expect(formatRecent(recent)).toBe("10,20,30,1,4096;5,6,0,-");
  const second = { ...good, v: "2", recent: formatRecent(recent), "gpu:3": "1", "gpu/lin.xy": "2", "gpu/log:4": "1" };
  const parsed = parseState(second);
  if (parsed.kind !== "state") throw new Error(`expected a state, found ${JSON.stringify(parsed)}`);
  expect(parsed.state.recent).toEqual(recent);
  const first = parseState(good);
  if (first.kind !== "state") throw new Error(`expected a state, found ${JSON.stringify(first)}`);
  expect([versionOf(first.state), versionOf(parsed.state)]).toEqual([1, 2]);
});

test.each([
  ["nothing declared", undefined, 900, { basis: "learned", p95: expect.any(Number) as number }],
  ["more declared than was seen", 2_000, 900, { basis: "declared", p95: 2_000 * MiB }],
  ["less declared than was seen", 500, 900, { basis: "declared" }],
  ["nothing seen", 500, null, { basis: "declared", p50: 500 * MiB, p95: 500 * MiB }],
  ["nothing known", undefined, null, undefined],
])("GPU memory is declared, else learned, and never below what was seen: %s", (_name, declared, seen, expected) => {
  const state = emptyState({ profile: "gpu", command: ["/bin/tool"] });
  const measure: Measure = {
    ...{ kind: "ended", inputBytes: 10, peakBytes: MiB, durationMs: 10, cpuMs: 5, ioBytes: null, shape: null },
    ...{ weight: 1, jobs: 1, gpuBytes: seen === null ? null : seen * MiB },
  };
  const { sums, recent } = noteOf(measure, undefined, undefined);
  addToState(state, { sums, recent: [recent], jobs: 1 });
  const profile = profileSchema.parse({ gpuMemoryBytes: declared === undefined ? undefined : declared * MiB });
  const { gpuMemoryBytes } = expectationOf({ profile, learned: new ClassModel(state), inputBytes: 10 });
  if (expected === undefined) expect(gpuMemoryBytes).toBeUndefined();
  else expect(gpuMemoryBytes).toMatchObject(expected);
  if (seen !== null) expect(gpuMemoryBytes?.p95).toBeGreaterThanOrEqual(seen * MiB);
});
