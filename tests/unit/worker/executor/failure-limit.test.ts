import { expect, test } from "vitest";
import { failureFault } from "../../../../src/worker/executor/failure-limit.ts";

const files = { unit: "files", value: 3 } as const;
const tenth = { unit: "percent", value: 10 } as const;

test("a number of files is met by one more than it", () => {
  expect(failureFault(undefined, { failed: 9, total: 9, isScanned: true })).toBeUndefined();
  expect(failureFault(files, { failed: 3, total: 9, isScanned: false })).toBeUndefined();
  expect(failureFault(files, { failed: 4, total: 9, isScanned: false })).toBe(
    "expected failed files to be at most 3, found 4",
  );
});

test("a share is one of all files", () => {
  expect(failureFault(tenth, { failed: 2, total: 20, isScanned: true })).toBeUndefined();
  expect(failureFault(tenth, { failed: 3, total: 20, isScanned: true })).toBe(
    "expected failed files to be at most 10 % of 20 files, found 3",
  );
  expect(failureFault({ ...tenth, value: 0 }, { failed: 1, total: 20, isScanned: false })).toBeDefined();
});

test("a share of what was found so far is not that of the first few, which are no measure of the rest", () => {
  expect(failureFault(tenth, { failed: 1, total: 0, isScanned: false })).toBeUndefined();
  expect(failureFault(tenth, { failed: 100, total: 100, isScanned: false })).toBeUndefined();
  expect(failureFault(tenth, { failed: 101, total: 100, isScanned: false })).toBe(
    "expected failed files to be at most 10 % of 1000 files, while more are looked for, found 101",
  );
  expect(failureFault(tenth, { failed: 101, total: 5_000, isScanned: false })).toBeUndefined();
});
