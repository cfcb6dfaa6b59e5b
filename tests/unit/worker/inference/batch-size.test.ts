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

  test("learns nothing of a batch of half its rows", () => {
    const ceiling = new RowCeiling(100, 10);
    for (let i = 0; i < 100; i += 1) ceiling.succeeded(5);
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
    tuner.observe({ files: rows, rows }, msOf(rows));
  }
  return tuner.next(most);
}

const largerIsQuicker = (rows: number) => 10 + rows * 0.01;

describe("tuner of rows", () => {
  test.each([
    ["one at a time where a larger batch is dearer per file", (rows: number) => rows ** 1.5, 1],
    ["the largest where each call has a price", largerIsQuicker, 256],
    ["single files beyond slower sizes", (rows: number) => rows * (rows === 1 ? 1 : rows < 16 ? 3 : 2), 1],
    ["the size in the middle where caches overflow", (rows: number) => (rows <= 32 ? 5 + rows : rows * 3), 32],
  ])("finds %s", (_name, msOf, best) => {
    expect(settle(new RowTuner(), 256, msOf)).toBe(best);
  });

  test("never asks for more than memory allows", () => {
    const tuner = new RowTuner();
    settle(tuner, 256, largerIsQuicker);
    expect(tuner.next(100)).toBe(64);
    expect(tuner.next(1)).toBe(1);
  });

  test.each([0.95, 0.6])("finds the largest where %f of the files become rows", (share) => {
    const tuner = new RowTuner();
    for (let i = 0; i < 120; i += 1) {
      const files = tuner.next(256);
      const rows = Math.max(1, Math.round(files * share));
      tuner.observe({ files, rows }, largerIsQuicker(rows));
    }
    expect(tuner.next(256)).toBe(256);
  });

  test("does not wait for a measure where hardly a file becomes a row", () => {
    const tuner = new RowTuner();
    const asked = Array.from({ length: 200 }, () => {
      const files = tuner.next(256);
      const rows = files >= 64 ? 1 : files;
      tuner.observe({ files, rows }, files);
      return files;
    });
    // Twelve tries, and three more each time that a neighbour is looked at anew.
    expect(asked.slice(0, 32).filter((files) => files === 64)).toHaveLength(12);
    expect(asked.filter((files) => files === 64).length).toBeLessThanOrEqual(18);
  });

  test.each([2, 3, 4])("is not misled by what else the machine did while batch %i of single files ran", (slow) => {
    let singles = 0;
    const msOf = (rows: number) => (rows === 1 ? (++singles === slow ? 4 : 1) : rows * 1.2);
    expect(settle(new RowTuner(), 16, msOf, 150)).toBe(1);
  });

  test("notices that another size has become the best", () => {
    const tuner = new RowTuner();
    expect(settle(tuner, 64, largerIsQuicker)).toBe(64);
    expect(settle(tuner, 64, (rows) => rows ** 1.5, 6_000)).toBeLessThanOrEqual(2);
  });
});

describe("ceiling and tuner together", () => {
  /** Runs batches with memory for `fits` rows; the sizes that were tried. */
  function run({ ceiling, tuner }: { ceiling: RowCeiling; tuner: RowTuner }, fits: number, batches: number): number[] {
    return Array.from({ length: batches }, () => {
      const rows = tuner.next(ceiling.rows);
      if (rows > fits) ceiling.failed(rows);
      else {
        ceiling.succeeded(rows);
        tuner.observe({ files: rows, rows }, largerIsQuicker(rows));
      }
      return rows;
    });
  }

  test("grow back to the largest batch once there is memory for it again", () => {
    const both = { ceiling: new RowCeiling(128), tuner: new RowTuner() };
    run(both, 100, 400);
    expect(both.tuner.next(both.ceiling.rows)).toBe(64);
    run(both, 128, 1_200);
    expect(both.ceiling.rows).toBe(128);
    expect(run(both, 128, 50)).toContain(128);
  });

  test("grow to all rows after a warm-up that was short", () => {
    const both = { ceiling: new RowCeiling(128, 20), tuner: new RowTuner() };
    run(both, 128, 600);
    expect(both.ceiling.rows).toBe(128);
  });
});
