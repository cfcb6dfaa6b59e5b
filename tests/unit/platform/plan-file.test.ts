import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadPlan, parsePlan, planText, sealPlan, writePlan } from "../../../src/platform/plan-file.ts";
import { planOf } from "../../support/plan-texts.ts";
import { spentOf } from "../../support/scripted-planner.ts";
import { makeTempFolder } from "../../support/temp-folder.ts";

const sha256 = "0".repeat(64);
const parts = {
  goal: "a goal",
  planner: { name: "p", kind: "recorded", model: null },
  prompt: { version: "v1", sha256 },
  spent: spentOf({ calls: 1 }),
  acceptedAtMs: 5,
  graph: planOf() as ReturnType<typeof sealPlan>["graph"],
};
const plan = sealPlan(parts);

test("a plan is one text, whatever the order of its keys", () => {
  const turned = Object.fromEntries(Object.entries(parts).toReversed()) as typeof parts;
  expect(planText(sealPlan(turned))).toBe(planText(plan));
  expect(planText(plan)).toMatch(/^\{"acceptedAtMs":5,"goal":"a goal","graph":\{.*\}\n$/);
});

test("the same graph has the same hash, whatever led to it", () => {
  const other = sealPlan({ ...parts, goal: "another goal", acceptedAtMs: 6 });
  expect(other.graphSha256).toBe(plan.graphSha256);
  expect(other.sha256).not.toBe(plan.sha256);
});

test("is written whole, for its owner alone, and read again as it was", () => {
  using folder = makeTempFolder();
  const path = join(folder.path, "plan.json");
  writePlan(path, plan);
  writePlan(path, plan);
  expect(loadPlan(path)).toEqual(plan);
  expect(readFileSync(path, "utf8")).toBe(planText(plan));
  expect(readdirSync(folder.path)).toEqual(["plan.json"]);
});

test.each([
  ["a graph that was changed", { ...plan, graph: planOf("/bin/sh") }, "graphSha256: expected the hash of its content"],
  ["a goal that was changed", { ...plan, goal: "b" }, "sha256: expected the hash of its content"],
  ["a version that is not known", { ...plan, version: 2 }, "version: expected 1"],
  ["a key that is not known", { ...plan, sha: 1 }, 'the unknown key "sha"'],
  ["a list", [], "expected a mapping of keys"],
])("%s is refused", (_what, changed, message) => {
  expect(() => parsePlan(JSON.stringify(changed), "here")).toThrow(message);
});

test("a graph that was changed and sealed anew by another hand than ours is still a graph that is checked", () => {
  const sealed = sealPlan({ ...parts, graph: planOf("/bin/sh") as typeof parts.graph });
  expect(parsePlan(planText(sealed), "here").graphSha256).not.toBe(plan.graphSha256);
});

test("a file that is none is told", () => {
  using folder = makeTempFolder();
  const path = join(folder.path, "plan.json");
  expect(() => loadPlan(path)).toThrow("expected a readable file");
  writeFileSync(path, '{"a":1,"a":2}');
  expect(() => loadPlan(path)).toThrow("plan.json:1:8: expected JSON: each key once");
});
