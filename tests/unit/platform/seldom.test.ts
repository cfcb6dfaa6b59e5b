import { expect, test } from "vitest";
import { Seldom } from "../../../src/platform/seldom.ts";

test("one line comes through in its time, with how many were held back; the next outage is told at once", () => {
  let nowMs = 0;
  const told: number[] = [];
  const seldom = new Seldom({ monotonicMs: () => nowMs }, 10_000);
  const say = (atMs: number) => {
    nowMs = atMs;
    seldom.say((heldBack) => told.push(heldBack));
  };
  for (const atMs of [0, 1, 9_999, 10_000, 10_001]) say(atMs);
  expect(told).toEqual([0, 2]);
  seldom.reset();
  say(10_002);
  expect(told).toEqual([0, 2, 0]);
});
