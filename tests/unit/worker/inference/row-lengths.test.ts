import { describe, expect, test } from "vitest";
import { bucketOf, longestOf, rowsWithin, turnsOf } from "../../../../src/worker/inference/row-lengths.ts";

const lengths = { base: 2, longest: 512, fullBytes: 2_000, maxRows: 128, maxTokens: 8_192 };

describe("lengths of rows", () => {
  test("go by the bytes of files in powers of two, short ones and the longest together", () => {
    const buckets = [0, 1, 128, 129, 256, 257, 1_024, 1_025, 1e9].map((bytes) => bucketOf(lengths, bytes));
    expect(buckets).toEqual([128, 128, 128, 256, 256, 512, 1_024, Infinity, Infinity]);
  });

  test("are one where rows do not differ, or only a little", () => {
    expect([0, 1, 1e9].map((bytes) => bucketOf(undefined, bytes))).toEqual([Infinity, Infinity, Infinity]);
    const short = { ...lengths, longest: 16, fullBytes: 64 };
    expect([0, 64, 1e9].map((bytes) => bucketOf(short, bytes))).toEqual([Infinity, Infinity, Infinity]);
  });

  test("have a token for each byte at most, beside those of every row", () => {
    expect([128, 256, 1_024, Infinity].map((bucket) => longestOf(lengths, bucket))).toEqual([130, 258, 512, 512]);
  });

  test("let a batch have as many rows as there are tokens for, and one at least", () => {
    expect([16, 130, 512, 10_000].map((tokens) => rowsWithin(lengths, tokens))).toEqual([128, 63, 16, 1]);
  });
});

describe("turns of rows", () => {
  test("have no more tokens than they may, padding included, in the order of the rows", () => {
    expect(turnsOf([10, 10, 40, 10, 10, 10], { most: 9, maxTokens: 100 })).toEqual([
      { from: 0, count: 2 },
      { from: 2, count: 2 },
      { from: 4, count: 2 },
    ]);
  });

  test("have no more rows than they may", () => {
    expect(turnsOf([1, 1, 1], { most: 2, maxTokens: Infinity })).toEqual([
      { from: 0, count: 2 },
      { from: 2, count: 1 },
    ]);
    expect(turnsOf([], { most: 2, maxTokens: 10 })).toEqual([]);
  });

  test("have one row that is longer than all may be", () => {
    expect(turnsOf([5, 200, 5], { most: 9, maxTokens: 100 })).toEqual([
      { from: 0, count: 1 },
      { from: 1, count: 1 },
      { from: 2, count: 1 },
    ]);
  });
});
