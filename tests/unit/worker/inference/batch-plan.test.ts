import { describe, expect, test } from "vitest";
import { BatchPlan } from "../../../../src/worker/inference/batch-plan.ts";

const lengths = { base: 0, longest: 1_024, fullBytes: 4_096, maxRows: 128, maxTokens: Infinity };
const whole = { mostRows: 128, warmRows: 128, lengths };
/** Runs so many batches of the rows that the plan wants, of a length at which a batch takes `msOf(rows)`. */
function run(plan: BatchPlan, key: number, batches: number, msOf = (rows: number) => 10 + rows * 0.01): void {
  for (let at = 0; at < batches; at += 1) {
    const rows = plan.rows(key);
    plan.succeeded(key, { files: rows, rows, hasTurns: false, costMs: msOf(rows), longest: undefined });
  }
}
const rowsAt = (plan: BatchPlan) =>
  Object.fromEntries(plan.ceilings.map(({ upToBytes, rows }) => [String(upToBytes), rows]));

function planOf(fit: Parameters<BatchPlan["loaded"]>[0], ...keys: number[]): BatchPlan {
  const plan = new BatchPlan();
  plan.loaded(fit);
  for (const key of keys) plan.rows(key);
  return plan;
}

describe("plan of batches", () => {
  test("remembers what memory did not do for by length: shorter rows keep theirs, longer ones get no more", () => {
    const plan = planOf(whole, 256, 1_024);
    plan.failed(1_024, 64);
    expect(rowsAt(plan)).toEqual({ "256": 128, "1024": 32, Infinity: 32 });
    plan.rows(2_048);
    expect(rowsAt(plan)).toEqual({ "256": 128, "1024": 32, "2048": 32, Infinity: 32 });
    plan.rows(512);
    expect(rowsAt(plan)["512"]).toBe(128);
  });

  test("leaves longer rows what memory has taken of them where it is less", () => {
    const plan = planOf(whole, 256);
    plan.failed(Infinity, 32);
    plan.failed(256, 64);
    expect(rowsAt(plan)).toEqual({ "256": 32, Infinity: 16 });
  });

  test("begins after a warm-up that was short with as many tokens as it had, and grows", () => {
    const plan = planOf({ ...whole, warmRows: 8 }, 128, 512, 2_048);
    expect(rowsAt(plan)).toEqual({ "128": 64, "512": 16, "2048": 8, Infinity: 8 });
    run(plan, 512, 2_000);
    expect(rowsAt(plan)).toEqual({ "128": 64, "512": 128, "2048": 8, Infinity: 8 });
  });

  test("keeps what it knows of each length when the model is loaded anew", () => {
    const plan = planOf(whole, 256, 1_024);
    plan.failed(1_024, 64);
    plan.loaded(whole);
    expect(rowsAt(plan)).toEqual({ "256": 128, "1024": 32, Infinity: 32 });
    plan.loaded({ ...whole, warmRows: 1 });
    expect(rowsAt(plan)).toEqual({ "256": 4, "1024": 1, Infinity: 1 });
  });

  test("finds the best size of each length by itself", () => {
    const plan = planOf(whole);
    run(plan, 128, 120);
    run(plan, Infinity, 120, (rows) => rows ** 1.5);
    expect([plan.rows(128), plan.rows(Infinity)]).toEqual([128, 1]);
  });

  test("holds batches to the tokens that they may have, by the longest row that was seen", () => {
    const plan = planOf({ mostRows: 8, warmRows: 8, lengths: { ...lengths, maxTokens: 8_192 } }, 256);
    expect(rowsAt(plan)).toEqual({ "256": 32, Infinity: 8 });
    const seen = { files: 8, rows: 8, hasTurns: false, costMs: 1 };
    plan.succeeded(256, { ...seen, longest: 100 });
    expect(rowsAt(plan)).toEqual({ "256": 81, Infinity: 8 });
    plan.succeeded(256, { ...seen, longest: 60 });
    expect(plan.rows(256, 500)).toBe(81);
  });

  test("has one length where rows do not differ", () => {
    const plan = planOf({ mostRows: 64, warmRows: 64, lengths: undefined });
    expect([plan.bucketOf(1), plan.bucketOf(1e9)]).toEqual([Infinity, Infinity]);
    plan.failed(Infinity, 64);
    expect(plan.ceilings).toEqual([{ upToBytes: Infinity, rows: 32 }]);
  });
});
