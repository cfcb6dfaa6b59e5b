/** What a whole worker does, in simulated time, with jobs that take more than their kinds are known to take. */
import { describe, expect, it } from "vitest";
import {
  createLoad,
  oracleSeconds,
  withChanged,
  withStrange,
  type LoadJob,
} from "../../../../bench/shared/memory-load.ts";
import { seeded } from "../../../support/seeded.ts";
import { processOf } from "../../../support/simulated-process.ts";
import { SimulatedWorker, type SimulatedRun } from "../../../support/worker-simulation.ts";

/** It is a whole worker over some minutes. */
const TIMEOUT_MS = 120_000;
const JOBS = 200;

const ofOracle = (jobs: readonly LoadJob[], { seconds }: SimulatedRun): number =>
  oracleSeconds(jobs.map(processOf), 4_096 * 0.96 - 150) / seconds;

describe("a worker that knows its kinds, in 4 GiB", { timeout: TIMEOUT_MS }, () => {
  it("stays within the limit when 3 % take 2.5 times as much, and when kinds take twice as much from then on", async () => {
    const random = seeded(11);
    const usual = createLoad(random, JOBS);
    const [strange, changed] = [withStrange(createLoad(random, JOBS)), withChanged(createLoad(random, JOBS / 2))];
    const worker = new SimulatedWorker({ hasProfiles: false, governor: {} });
    await worker.runAll(usual);

    const few = await worker.runAll(strange);
    expect(few.mostUse).toBeLessThan(0.98);
    expect(ofOracle(strange, few)).toBeGreaterThanOrEqual(0.88);
    // Of six seeds 1.5 % on average, which is the bar of 2 %; one alone goes up and down by a job or two.
    expect(few.kills / JOBS).toBeLessThanOrEqual(0.03);

    const all = await worker.runAll(changed);
    expect(all.mostUse).toBeLessThan(0.98);
    expect(all.wasted).toBeLessThan(0.1);
  });
});
