/** What a worker does with ten minutes of the same work, in simulated time: its gates, and how many of the jobs run. */
import { describe, expect, it } from "vitest";
import type { LoadJob } from "../../../../bench/shared/memory-load.ts";
import { seeded } from "../../../support/seeded.ts";
import { SimulatedWorker, type SimulatedWorkerOptions } from "../../../support/worker-simulation.ts";

/** Twelve minutes of a whole worker, on a machine that others use too. */
const TIMEOUT_MS = 120_000;
const MINUTES = 10;
/** Until then little is known of the kind: what its jobs take, and how many at a time get done most. */
const KNOWN_SECONDS = 120;
/** More than can be done in that time. */
const JOBS = 850;
/** What measured load closes, unlike room that jobs hold. */
const GATES = new Set(["COOLDOWN", "PSI_MEM", "PSI_IO", "CPU_THRESHOLD"]);

interface Steadiness {
  /** How often a queue that was held by a gate no longer was, or the other way round. */
  readonly flips: number;
  /** Of the number of running processes, by its mean. */
  readonly variation: number;
  readonly kills: number;
  /** What was told of the queue, in all. */
  readonly codes: readonly string[];
}

async function watch(meanMb: number, options: Omit<SimulatedWorkerOptions, "hasProfiles">): Promise<Steadiness> {
  const worker = new SimulatedWorker({ hasProfiles: false, ...options });
  const running: number[] = [];
  const told = new Set<string>();
  let flips = 0;
  let wasHeld: boolean | undefined;
  worker.onStep = ({ governor, seconds }) => {
    if (seconds < KNOWN_SECONDS || seconds >= KNOWN_SECONDS + 60 * MINUTES) return;
    running.push(worker.running);
    const codes = governor.snapshot().waiting.map(({ code }) => code);
    for (const code of codes.length > 0 ? codes : ["none"]) told.add(code);
    const isHeld = codes.some((code) => GATES.has(code));
    if (wasHeld !== undefined && isHeld !== wasHeld) flips += 1;
    wasHeld = isHeld;
  };
  const { kills } = await worker.runAll(evenJobs(meanMb, seeded(13)));
  const mean = running.reduce((sum, count) => sum + count, 0) / running.length;
  const variance = running.reduce((sum, count) => sum + (count - mean) ** 2, 0) / running.length;
  return { flips, variation: Math.sqrt(variance) / mean, kills, codes: [...told] };
}

function evenJobs(meanMb: number, random: () => number): LoadJob[] {
  const between = (from: number, to: number) => from + (to - from) * random();
  return Array.from({ length: JOBS }, () => ({
    ...{ kind: "even", shape: "ramp" as const, size: between(90, 110) },
    ...{ peakMb: meanMb * between(0.9, 1.1), seconds: between(8, 14) },
  }));
}

function expectSteady({ flips, variation, kills }: Steadiness): void {
  expect(flips / MINUTES).toBeLessThanOrEqual(6);
  expect(variation).toBeLessThanOrEqual(0.15);
  expect(kills).toBe(0);
}

describe(
  "over ten minutes of the same work gates hardly move, and about as many jobs run",
  { timeout: TIMEOUT_MS },
  () => {
    it("while memory is what holds them", async () => {
      const found = await watch(300, { governor: {} });
      expectSteady(found);
      expect(found.codes).toContain("MEM_FORECAST");
      expect(found.codes).not.toContain("none");
    });

    it.each([0.3, 0.6])(
      "while a threshold on the CPU holds them, and others use %d of it, more or less by the second",
      async (mean) => {
        const random = seeded(14);
        const bySecond = Array.from({ length: 3_600 }, () => mean - 0.05 + 0.1 * random());
        const found = await watch(80, {
          governor: { cpuThreshold: 0.8 },
          others: (seconds) => bySecond[Math.floor(seconds)] ?? mean,
        });
        expectSteady(found);
        expect(found.codes).toContain("CPU_THRESHOLD");
        expect(found.codes).not.toContain("none");
      },
    );
  },
);
