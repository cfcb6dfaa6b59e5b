import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { backoffCeilingMs, equalJitterMs, fullJitterMs } from "../../../src/platform/backoff.ts";

const rule = { backoffMs: 100, backoffFactor: 2, maxBackoffMs: 1_000 };

describe("backoff", () => {
  test("doubles from the first wait up to its cap", () => {
    expect([1, 2, 3, 4, 5, 50].map((attempt) => backoffCeilingMs(attempt, rule))).toEqual([
      100, 200, 400, 800, 1_000, 1_000,
    ]);
  });

  test("spreads over the whole wait with full jitter", () => {
    expect(fullJitterMs(3, rule, () => 0)).toBe(0);
    expect(fullJitterMs(3, rule, () => 0.5)).toBe(200);
    expect(fullJitterMs(3, rule, () => 0.9999999)).toBe(400);
  });

  test("never leaves its bounds", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 5_000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (attempt, part) => {
          const full = fullJitterMs(attempt, rule, () => part);
          const equal = equalJitterMs(attempt, rule, () => part);
          expect(full).toBeGreaterThanOrEqual(0);
          expect(full).toBeLessThanOrEqual(rule.maxBackoffMs);
          expect(equal).toBeGreaterThanOrEqual(backoffCeilingMs(attempt, rule) / 2);
          expect(equal).toBeLessThanOrEqual(rule.maxBackoffMs);
        },
      ),
    );
  });

  test("waits nothing under a rule without a wait", () => {
    expect(fullJitterMs(9, { backoffMs: 0, backoffFactor: 1, maxBackoffMs: 0 })).toBe(0);
  });
});
