import { describe, expect, it } from "vitest";
import { createLoad, oracleSeconds, type LoadJob } from "../../../../bench/shared/memory-load.ts";
import { seeded } from "../../../support/seeded.ts";
import { processOf } from "../../../support/simulated-process.ts";
import { SimulatedWorker, type SimulatedRun } from "../../../support/worker-simulation.ts";

/** It is a whole worker over some minutes. */
const TIMEOUT_MS = 120_000;

const ofOracle = (jobs: readonly LoadJob[], { seconds }: SimulatedRun): number =>
  oracleSeconds(jobs.map(processOf), 4_096 * 0.96 - 150) / seconds;

/** A single load goes up or down by a few hundredths with what is of no account. */
const SEEDS = [7_919, 11];

async function runBoth(seed: number) {
  const random = seeded(seed);
  const [first, second] = [createLoad(random, 200), createLoad(random, 200)];
  const worker = new SimulatedWorker({ hasProfiles: false, governor: {} });
  const cold = await worker.runAll(first);
  const warm = await worker.runAll(second);
  expect(Math.max(cold.mostUse, warm.mostUse)).toBeLessThan(0.98);
  expect(Math.max(cold.wasted, warm.wasted)).toBeLessThan(0.02);
  return { cold: ofOracle(first, cold), warm: ofOracle(second, warm) };
}

describe("a whole worker over 200 mixed jobs in 4 GiB, in simulated time", { timeout: TIMEOUT_MS }, () => {
  it("stays within the limit and wastes little, first without knowing any kind, then knowing them", async () => {
    const runs: Awaited<ReturnType<typeof runBoth>>[] = [];
    for (const seed of SEEDS) runs.push(await runBoth(seed));
    const mean = (side: "cold" | "warm") => runs.reduce((sum, run) => sum + run[side], 0) / runs.length;
    expect(mean("cold")).toBeGreaterThan(0.82);
    expect(mean("warm")).toBeGreaterThan(0.93);
  });
});
