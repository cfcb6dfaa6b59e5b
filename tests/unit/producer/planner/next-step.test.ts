import { describe, expect, test } from "vitest";
import { decideNext, nothingSpent, spend, type LastCall } from "../../../../src/producer/planner/next-step.ts";
import { callFailures, type CallFailureKind } from "../../../../src/producer/planner/planner.ts";
import { questionOf, says, spentOf } from "../../../support/scripted-planner.ts";

const { limits } = questionOf();
const none: LastCall = { kind: "none" };
const faulty: LastCall = { kind: "faulty", faults: [{ where: "nodes", expected: "some", found: "none" }] };
const failed = (failure: CallFailureKind, retryAfterMs?: number, inARow = 1): LastCall => ({
  kind: "failed",
  failure,
  message: "why",
  retryAfterMs,
  inARow,
});
const half = () => 0.5;
const asked = (chars: number) => ({ chars, maxOutputTokens: 5_000 });

describe("what follows a call", () => {
  test("is the first question at once", () => {
    expect(decideNext({ spent: nothingSpent, last: none, elapsedMs: 0 }, limits)).toEqual({ kind: "ask", waitMs: 0 });
  });

  test("is a repair while there are repairs left, and then the end with the faults", () => {
    const spent = spentOf({ calls: 1 });
    expect(decideNext({ spent, last: faulty, elapsedMs: 0 }, limits)).toEqual({ kind: "ask", waitMs: 0 });
    expect(decideNext({ spent: { ...spent, repairs: 3 }, last: faulty, elapsedMs: 0 }, limits)).toMatchObject({
      kind: "stop",
      cause: "refused",
      faults: [{ where: "repairs", found: "faults after 3 repairs" }, { where: "nodes" }],
    });
  });

  test.each(Object.entries(callFailures))(
    "of the kind %s is another try only when it passes",
    (kind, { isPassing }) => {
      const step = decideNext(
        { spent: spentOf({ calls: 1 }), last: failed(kind as CallFailureKind), elapsedMs: 0 },
        limits,
      );
      expect(step.kind).toBe(isPassing ? "ask" : "stop");
    },
  );

  test("waits longer with each failure in a row, and as long as the other side asks for", () => {
    const wait = (last: LastCall) => decideNext({ spent: spentOf({ calls: 1 }), last, elapsedMs: 0 }, limits, half);
    expect(wait(failed("broken"))).toEqual({ kind: "ask", waitMs: 750 });
    expect(wait(failed("broken", undefined, 3))).toEqual({ kind: "ask", waitMs: 3_000 });
    expect(wait(failed("throttled", 20_000))).toEqual({ kind: "ask", waitMs: 20_000 });
    expect(wait(failed("unknown-format"))).toEqual({ kind: "ask", waitMs: 0 });
  });

  test("is the end when the wait would outlast the time", () => {
    const last = failed("throttled", 3_600_000);
    expect(decideNext({ spent: spentOf({ calls: 1 }), last, elapsedMs: 0 }, limits)).toMatchObject({
      kind: "stop",
      cause: "budget",
      faults: [{ where: "budget.seconds" }, { where: "planner", found: "throttled: why" }],
    });
  });

  test.each([
    ["calls", { calls: 8 }, 0, {}],
    ["tokens", { inputTokens: 900_000, outputTokens: 100_000 }, 0, {}],
    ["usd", { costUsd: 0.5 }, 0, { usd: 0.5 }],
    ["usd", { costUsd: null }, 0, { usd: 0.5 }],
    ["seconds", {}, 900_000, {}],
  ])("is the end when budget.%s is used up, whatever is left of the others", (name, change, elapsedMs, budget) => {
    const rules = questionOf(budget).limits;
    const situation = { spent: spentOf({ calls: 1, ...change }), last: faulty, elapsedMs };
    expect(decideNext(situation, rules)).toMatchObject({
      kind: "stop",
      cause: "budget",
      faults: [{ where: `budget.${name}` }, { where: "nodes" }],
    });
    expect(decideNext({ ...situation, spent: spentOf({ calls: 1 }), elapsedMs: 899_999 }, rules).kind).toBe("ask");
  });
});

describe("what was spent", () => {
  test("adds up what planners tell", () => {
    const once = spend(nothingSpent, says("x"), asked(1_000));
    expect(spend(once, says("x"), asked(1_000))).toEqual({
      calls: 2,
      repairs: 0,
      inputTokens: 200,
      outputTokens: 20,
      costUsd: 0.02,
      isEstimated: false,
    });
  });

  test("is counted from the characters, high rather than low, when a planner does not tell", () => {
    const reply = { kind: "answered", text: "x".repeat(30), usage: undefined } as const;
    expect(spend(nothingSpent, reply, asked(301))).toMatchObject({
      inputTokens: 101,
      outputTokens: 10,
      costUsd: null,
      isEstimated: true,
    });
  });

  test("is a call and nothing else when nobody answered, and unknown when an answer was cut off", () => {
    const fail = (failure: CallFailureKind) =>
      spend(nothingSpent, { kind: "failed", failure, message: "" }, asked(300));
    expect(fail("unreachable")).toEqual(spentOf({ calls: 1 }));
    expect(fail("cut-off")).toMatchObject({ calls: 1, inputTokens: 100, costUsd: null, isEstimated: true });
  });

  test("of a call that may have written something is all that it could write", () => {
    for (const failure of ["slow", "cut-off", "broken"] as const) {
      const once = spend(nothingSpent, { kind: "failed", failure, message: "" }, asked(300));
      expect(once).toMatchObject({ inputTokens: 100, outputTokens: 5_000 });
      const known = { inputTokens: 7, outputTokens: 8, costUsd: 0 };
      expect(spend(once, { kind: "failed", failure, message: "", usage: known }, asked(300))).toMatchObject({
        outputTokens: 5_008,
      });
    }
  });
});
