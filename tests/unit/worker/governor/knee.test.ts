import { describe, expect, test } from "vitest";
import { abandonProbe, decideKnee, firstKnee, growBlindly, type Knee } from "../../../../src/worker/governor/knee.ts";
import { seeded } from "../../../support/seeded.ts";

const SERVICE_MS = 250;
const MOST = 64;

/** A server that does `knee` requests at a time, and less the more come beyond that. Requests per second. */
function throughput(atATime: number, knee: number): number {
  const served = atATime <= knee ? atATime : knee * Math.max(0.5, 1 - 0.02 * (atATime - knee));
  return (1_000 * served) / SERVICE_MS;
}

interface Server {
  /** After so many cohorts. */
  readonly kneeAt: (cohorts: number) => number;
  readonly noise: number;
  readonly seed: number;
}

interface Steady {
  readonly limits: readonly number[];
  /** Work done over what the best limit would have done in the same time. */
  readonly ratio: number;
  readonly knee: Knee;
}

/** Cohorts of twice as many jobs as run at a time, with noise; figures of those from `from` on. */
function serve({ kneeAt, noise, seed }: Server, cohorts: number, from: number): Steady {
  const random = seeded(seed);
  let knee = firstKnee(4);
  const limits: number[] = [];
  let [done, ideal, ms] = [0, 0, 0];
  for (let at = 0; at < cohorts; at += 1) {
    const rate = throughput(knee.limit, kneeAt(at));
    // A cohort lasts until its jobs have ended: at a slow rate that is long.
    const lastsMs = (2 * knee.limit * 1_000) / rate;
    if (at >= from) {
      limits.push(knee.limit);
      done += rate * lastsMs;
      ideal += throughput(kneeAt(at), kneeAt(at)) * lastsMs;
      ms += lastsMs;
    }
    const seen = rate * (1 + noise * (2 * random() - 1));
    knee = decideKnee(knee, { rate: seen, msPerWork: (1_000 * knee.limit) / seen }, MOST);
  }
  return { limits, ratio: ms === 0 ? 0 : done / ideal, knee };
}

function variation(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) / mean;
}

describe("knee", () => {
  test.each([1, 2, 5, 8, 13, 30, 50])("finds a knee at %i within twenty cohorts and stays there", (at) => {
    for (let seed = 1; seed <= 10; seed += 1) {
      const { ratio, limits } = serve({ kneeAt: () => at, noise: 0.03, seed }, 220, 20);
      expect(ratio, `seed ${seed}`).toBeGreaterThan(0.95);
      if (at >= 8) expect(variation(limits), `seed ${seed}`).toBeLessThan(0.15);
    }
  });

  test("follows a knee that moves from 12 to 18 and back, with at least 90 % of what it could do", () => {
    for (let seed = 1; seed <= 10; seed += 1) {
      const kneeAt = (cohort: number) => (cohort >= 120 && cohort < 240 ? 18 : 12);
      expect(serve({ kneeAt, noise: 0.03, seed }, 360, 20).ratio, `seed ${seed}`).toBeGreaterThan(0.9);
    }
  });

  test("leaves jobs alone that nothing slows down: as many as may run, and no probe below", () => {
    const { limits } = serve({ kneeAt: () => 1_000, noise: 0, seed: 1 }, 100, 10);
    expect(new Set(limits)).toEqual(new Set([MOST]));
  });

  test("takes back a step that brings nothing, and makes the next one smaller, the other way, and later", () => {
    const base = { limit: 16, rate: 100 };
    const probing: Knee = {
      ...{
        phase: "probing",
        limit: 20,
        base,
        direction: 1,
        step: 0.25,
        calm: 0,
        patience: 2,
        least: { ms: 100, limit: 4 },
      },
    };
    expect(decideKnee(probing, { rate: 101, msPerWork: 200 }, MOST)).toMatchObject({
      ...{ phase: "steady", limit: 16, base, direction: -1, step: 0.125, calm: 2, patience: 4 },
    });
  });

  test("goes on in the same direction at once after a step that pays", () => {
    const base = { limit: 16, rate: 100 };
    const probing: Knee = {
      ...{
        phase: "probing",
        limit: 20,
        base,
        direction: 1,
        step: 0.25,
        calm: 0,
        patience: 4,
        least: { ms: 100, limit: 4 },
      },
    };
    expect(decideKnee(probing, { rate: 120, msPerWork: 170 }, MOST)).toMatchObject({
      ...{ phase: "probing", limit: 25, base: { limit: 20, rate: 120 }, patience: 1 },
    });
  });

  test("grows by time alone while no job has ended, and never beyond the most", () => {
    expect(growBlindly(firstKnee(4), 64).limit).toBe(8);
    expect(growBlindly(firstKnee(40), 64).limit).toBe(64);
  });

  test("goes back to the best limit when there are too few jobs to try another", () => {
    const base = { limit: 16, rate: 100 };
    const probing: Knee = { ...firstKnee(20), phase: "probing", base };
    expect(abandonProbe(probing)).toMatchObject({ phase: "steady", limit: 16 });
    expect(abandonProbe(firstKnee(20)).limit).toBe(20);
  });
});
