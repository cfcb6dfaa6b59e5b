import { describe, expect, it } from "vitest";
import { createLoad, oracleSeconds } from "../../../../bench/shared/memory-load.ts";
import { defaultGovernor, simulate } from "../../../support/memory-simulation.ts";
import { seeded } from "../../../support/seeded.ts";

describe("200 mixed jobs in 4 GiB, in simulated time", () => {
  it.each([7_919, 12])(
    "are admitted without an alarm, at well over half the speed of who knows all, seed %i",
    (seed) => {
      const random = seeded(seed);
      const [learnedFrom, jobs] = [createLoad(random, 200), createLoad(random, 200)];
      const { seconds, alarms } = simulate(learnedFrom, jobs, defaultGovernor);
      expect(alarms).toBe(0);
      // What a scheduler that knows each peak would take, with the same room.
      expect(oracleSeconds(jobs, 4_096 * 0.96 - 150) / seconds).toBeGreaterThan(0.7);
    },
  );

  it("lose nothing to guesses where each job is known", () => {
    const random = seeded(7_919);
    const [learnedFrom, jobs] = [createLoad(random, 200), createLoad(random, 200)];
    const guessed = simulate(learnedFrom, jobs, defaultGovernor);
    const known = simulate(learnedFrom, jobs, { ...defaultGovernor, knows: "job" });
    expect(known.seconds).toBeLessThan(guessed.seconds);
    expect(known.meanUse).toBeGreaterThan(guessed.meanUse);
    expect(known.alarms).toBe(0);
  });
});
