import { expect, test } from "vitest";
import { allCores, decideCoreShare, type CoreShare } from "../../../../src/worker/governor/effective-cores.ts";

function after(seconds: number, throttled: number | undefined, start: CoreShare = allCores): CoreShare {
  let share = start;
  for (let at = 0; at < seconds * 4; at += 1) share = decideCoreShare(share, throttled, at * 250);
  return share;
}

test("cores are lowered step by step while threads are held back, never below half", () => {
  expect(after(1, 0.2).ratio).toBe(0.95);
  expect(after(4, 0.2).ratio).toBeCloseTo(0.95 ** 2);
  expect(after(120, 0.9).ratio).toBe(0.5);
});

test("a job that uses its quota up is no reason", () => {
  expect(after(60, 0.03).ratio).toBe(1);
});

test("cores come back once nothing is held back, and at once where nobody counts", () => {
  const half = { ratio: 0.5, steppedAtMs: -Infinity };
  expect(after(4, 0, half).ratio).toBeCloseTo(0.54);
  expect(after(120, 0, half).ratio).toBe(1);
  expect(after(1, undefined, half)).toEqual(allCores);
});
