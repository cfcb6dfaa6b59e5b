import { describe, expect, test } from "vitest";
import { WaitingReasons, type Wait } from "../../../../src/worker/governor/waiting.ts";

const wait: Wait = {
  ...{ kind: "defer", code: "CPU", lacking: "cpuCores", message: "no core", need: 1, have: 0, retryAfterMs: 250 },
};

describe("waiting reasons", () => {
  test("tell for how long nothing was let in, from the first refusal on", () => {
    const reasons = new WaitingReasons();
    expect(reasons.refusingMs(1_000)).toBe(0);
    reasons.note("a", wait, { nowMs: 1_000 });
    reasons.note("b", wait, { nowMs: 3_000 });
    expect(reasons.refusingMs(5_000)).toBe(4_000);
  });

  test("begin anew with each job that is let in, and end when nothing waits", () => {
    const reasons = new WaitingReasons();
    reasons.note("a", wait, { nowMs: 1_000 });
    reasons.note("b", wait, { nowMs: 1_000 });
    reasons.clear("a", 4_000);
    reasons.admitted(4_000);
    expect(reasons.refusingMs(5_000)).toBe(1_000);
    reasons.clear("b", 6_000);
    reasons.admitted(6_000);
    expect(reasons.refusingMs(9_000)).toBe(0);
  });

  test("remember why a queue waited the last time", () => {
    const reasons = new WaitingReasons();
    reasons.note("a", wait, { nowMs: 1_000 });
    reasons.note("a", { ...wait, code: "HOT" }, { nowMs: 2_000 });
    reasons.clear("a", 4_000);
    reasons.clear("a", 8_000);
    expect(reasons.lastOf("a", (atMs) => atMs + 10_000)).toEqual({ code: "HOT", sinceMs: 12_000, untilMs: 14_000 });
    expect(reasons.lastOf("b", (atMs) => atMs)).toBeUndefined();
  });
});
