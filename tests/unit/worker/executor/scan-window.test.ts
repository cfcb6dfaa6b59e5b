/** Which chunks a scan adds while others of its run are open. */
import { expect, test } from "vitest";
import type { LiveRun } from "../../../../src/platform/run-hash.ts";
import { ScanWindow } from "../../../../src/worker/executor/scan-window.ts";

const run = {} as LiveRun;

function windowOf({ isUnknown = false, isTimed = false }) {
  let nowMs = 1_000;
  const window = new ScanWindow(run, { isUnknown: () => isUnknown, isTimed: () => isTimed }, () => nowMs);
  return { window, pass: (ms: number) => (nowMs += ms) };
}

test.each([
  { isTimed: false, size: 24 },
  { isTimed: true, size: 96 },
])("adds twelve at a time, and the last ones as soon as all of them fit: $size", ({ isTimed, size }) => {
  const { window } = windowOf({ isTimed });
  expect([window.mostOpen(100), window.mostOpen(12)]).toEqual([size - 12, size - 12]);
  // Three portions that a slow walk found: none of the last five waits for another chunk to end.
  expect(window.mostOpen(5)).toBe(size - 5);
  expect([window.portion(0), window.portion(size - 5), window.portion(size)]).toEqual([12, 5, 1]);
});

test("adds one at a time of an unknown class, to more and more that are open", () => {
  const { window, pass } = windowOf({ isUnknown: true });
  expect([window.mostOpen(9), window.mostOpen(1)]).toEqual([1, 1]);
  window.added();
  expect(window.mostOpen(9)).toBe(1);
  pass(4_000);
  window.added();
  expect(window.mostOpen(9)).toBe(7);
  pass(60_000);
  expect(window.mostOpen(9)).toBe(23);
});
