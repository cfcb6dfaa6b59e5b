import { describe, expect, it } from "vitest";
import { createLoad, oracleSeconds } from "../../../../bench/shared/memory-load.ts";
import { defaultGovernor, simulate } from "../../../support/memory-simulation.ts";
import { seeded } from "../../../support/seeded.ts";

/** Jobs to learn from, and jobs to run. */
function loads(seed: number) {
  const random = seeded(seed);
  return [createLoad(random, 200), createLoad(random, 200)] as const;
}

/** Minutes of simulated time, on a machine that others use too. */
const TIMEOUT_MS = 60_000;

describe("200 mixed jobs in 4 GiB, in simulated time", { timeout: TIMEOUT_MS }, () => {
  it.each([7_919, 12])("are run nearly as fast as by who knows each peak, with hardly a kill, seed %i", (seed) => {
    const [learnedFrom, jobs] = loads(seed);
    const { seconds, wasted } = simulate(learnedFrom, jobs, defaultGovernor);
    expect(wasted).toBeLessThan(0.02);
    // What a scheduler that knows each peak would take, with the same room.
    expect(oracleSeconds(jobs, 4_096 * 0.96 - 150) / seconds).toBeGreaterThan(0.92);
  });

  it.each([{ knows: "queue" }, { threshold: 0.9 }] as const)("take longer with %o", (less) => {
    const [learnedFrom, jobs] = loads(7_919);
    const whole = simulate(learnedFrom, jobs, defaultGovernor);
    const part = simulate(learnedFrom, jobs, { ...defaultGovernor, ...less });
    expect(part.seconds).toBeGreaterThan(whole.seconds);
    expect(part.meanUse).toBeLessThan(whole.meanUse);
  });
});
