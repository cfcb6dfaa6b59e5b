import { describe, expect, test } from "vitest";
import { RowCeiling, RowTuner } from "../../../../src/worker/inference/batch-size.ts";

describe("ceiling of rows", () => {
  test("halves what failed, and never goes below one", () => {
    const ceiling = new RowCeiling(64);
    ceiling.failed(64);
    expect(ceiling.rows).toBe(32);
    ceiling.failed(64);
    expect(ceiling.rows).toBe(32);
    for (let i = 0; i < 10; i += 1) ceiling.failed(ceiling.rows);
    expect(ceiling.rows).toBe(1);
  });

  test("grows by a tenth after twenty good batches at the ceiling, to below what had failed", () => {
    const ceiling = new RowCeiling(1_000);
    ceiling.failed(100);
    expect(ceiling.rows).toBe(50);
    for (let i = 0; i < 19; i += 1) ceiling.succeeded(50);
    expect(ceiling.rows).toBe(50);
    ceiling.succeeded(50);
    expect(ceiling.rows).toBe(55);
    for (let i = 0; i < 500; i += 1) ceiling.succeeded(ceiling.rows);
    expect(ceiling.rows).toBe(99);
  });

  test("falls back to what went well before, once, and then to the half of that", () => {
    const ceiling = new RowCeiling(64);
    for (let i = 0; i < 3; i += 1) ceiling.succeeded(48);
    ceiling.failed(50);
    expect(ceiling.rows).toBe(48);
    ceiling.failed(48);
    expect(ceiling.rows).toBe(24);
    ceiling.succeeded(1);
    ceiling.failed(24);
    expect(ceiling.rows).toBe(12);
  });

  test("learns nothing of a batch below the ceiling", () => {
    const ceiling = new RowCeiling(100, 10);
    for (let i = 0; i < 100; i += 1) ceiling.succeeded(9);
    expect(ceiling.rows).toBe(10);
  });

  test("tries again what had failed after a thousand good batches", () => {
    const ceiling = new RowCeiling(64);
    ceiling.failed(64);
    for (let i = 0; i < 1_500; i += 1) ceiling.succeeded(ceiling.rows);
    expect(ceiling.rows).toBe(64);
  });
});

/** Batches as the tuner wants them, of a machine on which a batch takes `msOf(rows)`. */
function settle(tuner: RowTuner, most: number, msOf: (rows: number) => number, batches = 120): number {
  for (let i = 0; i < batches; i += 1) {
    const rows = tuner.next(most);
    tuner.observe(rows, msOf(rows));
  }
  return tuner.next(most);
}

describe("tuner of rows", () => {
  test.each([
    ["one at a time where a larger batch is dearer per file", (rows: number) => rows ** 1.5, 1],
    ["the largest where each call has a price", (rows: number) => 10 + rows * 0.01, 256],
    ["single files beyond slower sizes", (rows: number) => rows * (rows === 1 ? 1 : rows < 16 ? 3 : 2), 1],
    ["the size in the middle where caches overflow", (rows: number) => (rows <= 32 ? 5 + rows : rows * 3), 32],
  ])("finds %s", (_name, msOf, best) => {
    expect(settle(new RowTuner(), 256, msOf)).toBe(best);
  });

  test("never asks for more than memory allows", () => {
    const tuner = new RowTuner();
    settle(tuner, 256, (rows) => 10 + rows * 0.01);
    expect(tuner.next(100)).toBe(64);
    expect(tuner.next(1)).toBe(1);
  });

  test("notices that another size has become the best", () => {
    const tuner = new RowTuner();
    expect(settle(tuner, 64, (rows) => 10 + rows * 0.01)).toBe(64);
    expect(settle(tuner, 64, (rows) => rows ** 1.5, 6_000)).toBeLessThanOrEqual(2);
  });
});
