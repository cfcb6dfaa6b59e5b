import { expect, test } from "vitest";
import { EmptyLanes } from "../../../src/worker/empty-lanes.ts";

/** When a lane that stays empty is looked at within this time, where there are so many lanes. */
function looks(seconds: number, lanes: number): number[] {
  const empty = new EmptyLanes<string>();
  const at: number[] = [];
  for (let nowMs = 0; nowMs <= 1_000 * seconds; nowMs += 100) {
    if (!empty.isDue("a", { nowMs, lanes })) continue;
    at.push(nowMs / 1_000);
    empty.add("a", nowMs);
  }
  return at;
}

test("a lane that stays empty is looked at ever less often, up to every eight seconds", () => {
  expect(looks(40, 3)).toEqual([0, 1, 3, 7, 15, 23, 31, 39]);
});

test("forty lanes are looked at twice a second, all together", () => {
  expect(looks(100, 40).slice(-3)).toEqual([51, 71, 91]);
});

test("a lane in which something may be is looked at now, and a second later if that was nothing", () => {
  const empty = new EmptyLanes<string>();
  for (const nowMs of [0, 1_000, 3_000, 7_000]) empty.add("a", nowMs);
  expect(empty.isDue("a", { nowMs: 9_000, lanes: 1 })).toBe(false);
  empty.delete("a");
  expect(empty.isDue("a", { nowMs: 9_000, lanes: 1 })).toBe(true);
  empty.add("a", 9_000);
  expect(empty.isDue("a", { nowMs: 9_999, lanes: 1 })).toBe(false);
  expect(empty.isDue("a", { nowMs: 10_000, lanes: 1 })).toBe(true);
});
