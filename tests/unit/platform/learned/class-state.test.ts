import { expect, test } from "vitest";
import { formatRecent, parseState } from "../../../../src/platform/learned/class-state.ts";

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
  ["a newer version", { v: "2", what: "ever" }, { kind: "newer", version: 2 }],
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
