import { describe, expect, it } from "vitest";
import { createLoad, oracleSeconds, type LoadJob } from "../../../../bench/shared/memory-load.ts";
import { seeded } from "../../../support/seeded.ts";
import { SimulatedWorker, type SimulatedRun } from "../../../support/worker-simulation.ts";

/** It is a whole worker over some minutes. */
const TIMEOUT_MS = 120_000;

const ofOracle = (jobs: readonly LoadJob[], { seconds }: SimulatedRun): number =>
  oracleSeconds(jobs, 4_096 * 0.96 - 150) / seconds;

describe("a whole worker over 200 mixed jobs in 4 GiB, in simulated time", { timeout: TIMEOUT_MS }, () => {
  it("stays within the limit and wastes little, first without knowing any kind, then knowing them", async () => {
    const random = seeded(7_919);
    const [first, second] = [createLoad(random, 200), createLoad(random, 200)];
    const worker = new SimulatedWorker({ hasProfiles: false, governor: {} });
    const cold = await worker.runAll(first);
    const warm = await worker.runAll(second);
    expect(Math.max(cold.mostUse, warm.mostUse)).toBeLessThan(0.98);
    expect(Math.max(cold.wasted, warm.wasted)).toBeLessThan(0.02);
    expect(ofOracle(first, cold)).toBeGreaterThan(0.7);
    expect(ofOracle(second, warm)).toBeGreaterThan(0.84);
  });
});
