import { describe, expect, test } from "vitest";
import { decideIntake, refusalWords } from "../../../src/producer/intake.ts";

describe("intake decision", () => {
  const roomy = { waitingJobs: 0, maxWaiting: 100, memoryFill: 0.5 };

  test("accepts while there is room, and when Redis has no limit", () => {
    expect(decideIntake(roomy)).toEqual({ kind: "accept" });
    expect(decideIntake({ ...roomy, waitingJobs: 99, memoryFill: null })).toEqual({ kind: "accept" });
    expect(decideIntake({ ...roomy, memoryFill: 0.799 })).toEqual({ kind: "accept" });
  });

  test("refuses from 80 % of Redis memory on", () => {
    expect(decideIntake({ ...roomy, memoryFill: 0.8 })).toEqual({
      kind: "refuse",
      reason: "redis-memory",
      retryAfterSeconds: 60,
    });
  });

  test("asks callers to come back later the longer the backlog is, within bounds", () => {
    const retryAfter = (waitingJobs: number) => {
      const decision = decideIntake({ ...roomy, waitingJobs });
      return decision.kind === "refuse" ? decision.retryAfterSeconds : undefined;
    };
    expect([retryAfter(100), retryAfter(250), retryAfter(1_000_000)]).toEqual([5, 13, 300]);
    expect(decideIntake({ waitingJobs: 0, maxWaiting: 0, memoryFill: null }).kind).toBe("refuse");
  });

  test("says what was expected and found", () => {
    expect(refusalWords("backlog", { ...roomy, waitingJobs: 120 })).toBe("120 jobs wait, expected fewer than 100");
    expect(refusalWords("redis-memory", { ...roomy, memoryFill: 0.914 })).toBe(
      "redis uses 91 % of its memory, expected less than 80 %",
    );
  });
});
