import { describe, expect, test } from "vitest";
import { ClassLimits, limitOf } from "../../../../src/worker/governor/class-limits.ts";
import { seeded } from "../../../support/seeded.ts";

const QUEUE = "exec.curl@12";
const PROFILE = "exec.curl";
const CORES = 2;
const STEP_MS = 10;
const READING_MS = 100;
/** Without a limit. */
const MOST = 32;

interface Job {
  readonly beganMs: number;
  leftMs: number;
}

interface Served {
  /** Jobs that ended, over what the best number at a time would have ended. */
  readonly ratio: number;
  readonly running: readonly number[];
  readonly limits: ClassLimits;
}

/** A server that does `knee` jobs of 300 ms, more or less, at a time, and less the more come beyond that. */
function serve(
  kneeAt: (ms: number) => number,
  untilMs: number,
  facts: { fromMs: number; cpuMs: number; seed?: number },
): Served {
  const random = seeded(facts.seed ?? 7);
  const limits = new ClassLimits();
  const running: number[] = [];
  let jobs: Job[] = [];
  let [done, ideal] = [0, 0];
  for (let nowMs = 0; nowMs < untilMs; nowMs += STEP_MS) {
    const allowed = limits.all.get(PROFILE)?.limit ?? MOST;
    while (jobs.length < allowed) jobs.push({ beganMs: nowMs, leftMs: 300 * (0.7 + 0.6 * random()) });
    const knee = kneeAt(nowMs);
    const served = jobs.length <= knee ? jobs.length : knee * Math.max(0.5, 1 - 0.02 * (jobs.length - knee));
    for (const job of jobs) job.leftMs -= (STEP_MS * served) / jobs.length;
    for (const { beganMs } of jobs.filter((job) => job.leftMs <= 0)) {
      limits.noteEnd({ queue: QUEUE, ms: nowMs + STEP_MS - beganMs, cpuMs: facts.cpuMs, work: 1 }, CORES);
      if (nowMs >= facts.fromMs) done += 300;
    }
    jobs = jobs.filter((job) => job.leftMs > 0);
    if (nowMs % READING_MS === 0) {
      limits.noteRunning(
        jobs.map(() => ({ queue: QUEUE })),
        nowMs,
        CORES,
      );
    }
    if (nowMs < facts.fromMs) continue;
    running.push(jobs.length);
    ideal += STEP_MS * knee;
  }
  return { ratio: done / ideal, running, limits };
}

describe("class limits", () => {
  test.each([4, 8, 12, 20])("serve a server with a knee at %i with 93 % of what it can do, steadily", (knee) => {
    const ends = [1, 2, 3, 4, 5, 6, 7, 8].map((seed) => {
      const { ratio, running } = serve(() => knee, 180_000, { fromMs: 20_000, cpuMs: 10, seed });
      const mean = running.reduce((sum, count) => sum + count, 0) / running.length;
      const variance = running.reduce((sum, count) => sum + (count - mean) ** 2, 0) / running.length;
      return { ratio, variation: Math.sqrt(variance) / mean };
    });
    const meanOf = (figure: "ratio" | "variation") => ends.reduce((sum, end) => sum + end[figure], 0) / ends.length;
    expect(meanOf("ratio")).toBeGreaterThan(0.93);
    // One more or less of four is a quarter.
    if (knee >= 8) expect(meanOf("variation")).toBeLessThan(0.15);
  });

  test("follow a knee that moves from 12 to 18, with 90 % of the ideal", () => {
    const { ratio } = serve((ms) => (ms < 60_000 ? 12 : 18), 180_000, { fromMs: 20_000, cpuMs: 10 });
    expect(ratio).toBeGreaterThan(0.9);
  });

  test("hold no kind of job that mostly computes", () => {
    const { limits } = serve(() => MOST, 20_000, { fromMs: 0, cpuMs: 280 });
    expect(limits.all.size).toBe(0);
  });

  test("take no job into account that ran no process to its end", () => {
    const limits = new ClassLimits();
    for (let job = 0; job < 50; job += 1) limits.noteEnd({ queue: "exec.default@9", ms: 5, cpuMs: 0, work: 0 }, 2);
    expect(limits.all.size).toBe(0);
    for (let job = 0; job < 3; job += 1) limits.noteEnd({ queue: "exec.default@9", ms: 100, cpuMs: 2, work: 1 }, 2);
    expect(limits.all.size).toBe(1);
  });

  test("take what jobs did that ran before there was a limit for no sign of what the limit brings", () => {
    const limits = new ClassLimits();
    const end = () => {
      limits.noteEnd({ queue: QUEUE, ms: 10_000, cpuMs: 10, work: 1 }, CORES);
    };
    const running = (count: number, nowMs: number) => {
      limits.noteRunning(Array(count).fill({ queue: QUEUE }), nowMs, CORES);
    };
    // Twenty ran at a time. The first three to end make a limit of four; the others end soon after.
    for (let at = 0; at < 3; at += 1) end();
    for (let left = 17; left > 4; left -= 1) {
      running(left, (17 - left) * READING_MS);
      end();
    }
    expect(limits.found).toEqual([]);
    // Four that began under it, and eight after them: as many times as much.
    for (let at = 0; at < 4; at += 1) end();
    running(4, 10_000);
    for (let at = 0; at < 4; at += 1) end();
    expect(limits.all.get(PROFILE)?.limit).toBe(8);
    expect(limits.found).toMatchObject([{ limit: 4 }]);
    running(8, 10_100);
    for (let at = 0; at < 4; at += 1) end();
    running(8, 20_000);
    for (let at = 0; at < 8; at += 1) end();
    expect(limits.all.get(PROFILE)?.limit).toBe(16);
  });

  test("learn nothing of a limit that fewer jobs than it were there for", () => {
    const limits = new ClassLimits();
    for (let at = 1; at <= 200; at += 1) {
      limits.noteEnd({ queue: QUEUE, ms: 300, cpuMs: 10, work: 1 }, CORES);
      limits.noteRunning([{ queue: QUEUE }], at * READING_MS, CORES);
    }
    expect(limits.all.get(PROFILE)?.limit).toBe(4);
  });

  describe("of two kinds in one profile", () => {
    const [waits, computes] = ["default:waits", "default:computes"];
    const end = (limits: ClassLimits, kind: string | undefined, cpuMs: number, jobs = 3) => {
      const job = { queue: "exec.default@9", ms: 100, work: 1, cpuMs };
      for (let at = 0; at < jobs; at += 1) limits.noteEnd({ ...job, kind }, CORES);
    };

    test("are told apart: one that computes has none, however many of the other wait", () => {
      const limits = new ClassLimits();
      end(limits, waits, 2, 20);
      expect(limits.all.get(waits)).toMatchObject({ profile: "exec.default", isAlone: true });
      end(limits, computes, 95);
      expect([...limits.all.keys()]).toEqual([waits]);
      expect(limits.all.get(waits)?.isAlone).toBe(false);
    });

    test("count for a job whose kind is not known while there is one alone", () => {
      const limits = new ClassLimits();
      end(limits, waits, 2);
      const limitFor = (kind?: string) => limitOf(limits.all, { queue: "exec.default@14", kind })?.kind;
      expect([limitFor(), limitFor(waits), limitFor(computes)]).toEqual([waits, waits, undefined]);
      end(limits, computes, 95);
      expect([limitFor(), limitFor(waits), limitFor(computes)]).toEqual([undefined, waits, undefined]);
      expect(limitOf(limits.all, { queue: "exec.other@14" })).toBeUndefined();
    });
  });
});
