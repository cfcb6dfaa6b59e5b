import { describe, expect, test } from "vitest";
import { judge, type Observed } from "../../../../src/cli/eval/judge.ts";
import { changeLines } from "../../../../src/cli/eval/report-text.ts";
import { summarize, totalOf, type EvalReport, type EvalRun } from "../../../../src/cli/eval/report.ts";
import type { Expectation } from "../../../../src/cli/eval/scenario.ts";
import { checkFlow } from "../../../../src/contract/flow-check.ts";
import { planOf } from "../../../support/plan-texts.ts";
import { spentOf } from "../../../support/scripted-planner.ts";

const checked = checkFlow(planOf());
const flow = checked.kind === "valid" ? checked.flow : undefined;
const base: Expectation = {
  ending: "accepted",
  nodes: undefined,
  edges: undefined,
  kinds: {},
  refusals: [],
  repairs: undefined,
  most: {},
  outcomes: {},
  artifacts: {},
};
const seen: Observed = { ending: "accepted", flow, refusals: [], spent: spentOf({ calls: 1 }), end: undefined };
const ended = {
  kind: "ended" as const,
  runId: "r",
  exitCode: 0,
  state: "succeeded",
  outcomes: { only: "succeeded" as const },
  artifacts: { only: ["a.txt"] },
};

describe("what came of a scenario", () => {
  test.each<[string, Partial<Expectation>, Partial<Observed>, string[]]>([
    ["nothing but a plan is wanted", {}, {}, []],
    ["the state that it has", { state: "succeeded" }, { end: ended }, []],
    ["another state", { state: "failed" }, { end: ended }, ["state"]],
    ["another ending", { ending: "refused" }, {}, ["ending"]],
    ["other nodes", { nodes: ["a", "b"] }, {}, ["nodes"]],
    ["an edge that is not there", { edges: ["a -> only"] }, {}, ["edges"]],
    ["no edges, as there are none", { edges: [] }, {}, []],
    ["another kind", { kinds: { only: "files" } }, {}, ["kinds.only"]],
    ["a kind of no node", { kinds: { other: "exec" } }, {}, ["kinds.other"]],
    ["a refusal that nobody made", { refusals: ["x"] }, {}, ["refusals"]],
    [
      "a refusal that was made",
      { refusals: ["expected y"] },
      { refusals: [{ where: "x", expected: "y", found: "z" }] },
      [],
    ],
    ["fewer repairs", { repairs: 1 }, {}, ["repairs"]],
    [
      "less than it cost",
      { most: { calls: 0, tokens: 5 } },
      { spent: spentOf({ calls: 1, inputTokens: 9 }) },
      ["most.calls", "most.tokens"],
    ],
    ["dollars, and nobody knows", { most: { usd: 1 } }, { spent: spentOf({ costUsd: null }) }, ["most.usd"]],
    [
      "an outcome and an artifact",
      { outcomes: { only: "succeeded" }, artifacts: { only: ["a.txt"] } },
      { end: ended },
      [],
    ],
    [
      "another outcome",
      { outcomes: { only: "failed" }, artifacts: { only: [] } },
      { end: ended },
      ["outcomes.only", "artifacts.only"],
    ],
    ["an outcome of no node", { outcomes: { other: "failed" } }, { end: ended }, ["outcomes.other"]],
  ])("where %s", (_what, expected, observed, places) => {
    const faults = judge({ ...base, ...expected }, { ...seen, ...observed });
    expect(faults.map(({ where }) => where)).toEqual(places);
  });
});

describe("a report", () => {
  const run = (change: Partial<EvalRun> = {}): EvalRun => ({
    faults: [],
    answers: 2,
    validAnswers: 1,
    repairs: 1,
    calls: 2,
    tokens: 100,
    costUsd: 0.1,
    durationMs: 10,
    ...change,
  });
  const fault = { where: "nodes", expected: "a", found: "b" };
  const reportOf = (...runs: EvalRun[]): EvalReport => {
    const scenarios = [summarize("one", "recorded", runs)];
    return { version: 1, headroom: "0", startedAtMs: 0, scenarios, total: totalOf(scenarios) };
  };

  test("adds up the runs, with the middle of their times", () => {
    const report = reportOf(run(), run({ durationMs: 30, faults: [fault] }), run({ durationMs: 20 }));
    expect(report.scenarios).toEqual([
      {
        name: "one",
        planner: "recorded",
        runs: 3,
        passed: 2,
        answers: 6,
        validAnswers: 3,
        repairs: 3,
        calls: 6,
        tokens: 300,
        costUsd: expect.closeTo(0.3, 10) as number,
        medianMs: 20,
        failures: [{ run: 2, faults: [fault] }],
      },
    ]);
    expect(report.total).toEqual({ runs: 3, passed: 2, successRate: 2 / 3, planValidity: 0.5 });
  });

  test("does not know the cost of all when one does not tell", () => {
    expect(summarize("one", null, [run(), run({ costUsd: null })]).costUsd).toBeNull();
  });

  test("tells what has changed since an earlier one, per run", () => {
    expect(changeLines(reportOf(run()), reportOf(run(), run({ durationMs: 99 })))).toEqual(["no difference but time"]);
    const worse = reportOf(run({ faults: [fault], calls: 3, validAnswers: 0 }));
    expect(changeLines(worse, reportOf(run()))).toEqual([
      "one: passed 100 % -> 0 %, valid answers 50 % -> 0 %, calls per run 2 -> 3",
    ]);
    const empty = { ...reportOf(), scenarios: [] };
    expect(changeLines(reportOf(run()), empty)).toEqual(["one: new"]);
    expect(changeLines(empty, reportOf(run()))).toEqual(["one: not run this time"]);
  });
});
