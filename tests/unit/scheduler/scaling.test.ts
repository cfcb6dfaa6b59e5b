import { describe, expect, test } from "vitest";
import type { ScalingSignal } from "../../../src/contract/scaling.ts";
import { answerScaling } from "../../../src/platform/scaling.ts";
import { decideScaling, type ProfileFacts, type ScalingSettings } from "../../../src/scheduler/scaling.ts";

const settings: ScalingSettings = {
  ...{ targetWaitMs: 60_000, minWorkers: 0, maxWorkers: 100 },
  ...{ cooldownMs: 300_000, drainMs: 25_000 },
};

function profile(change: Partial<ProfileFacts> = {}): ProfileFacts {
  return {
    ...{ profile: "default", labels: [], heldByGovernors: 0, active: 0, hasMore: false },
    runnable: { waiting: 0, prioritized: 0, due: 0 },
    notRunnable: { paused: 0, delayed: 0, unschedulable: 0 },
    workers: { live: 1, busy: 0 },
    paces: [{ profile: "default", jobMs: 10_000, jobsAtOnce: 4 }],
    ...{ remembered: undefined, roomForJobs: 4, longestRunMs: 0 },
    ...change,
  };
}

const waiting = (count: number) => ({ runnable: { waiting: count, prioritized: 0, due: 0 } });

function decide(
  facts: Partial<ProfileFacts>,
  { nowMs = 0, isPaused = false, before }: { nowMs?: number; isPaused?: boolean; before?: ScalingSignal } = {},
): ScalingSignal {
  return decideScaling({ nowMs, isPaused, profiles: [profile(facts)] }, settings, before);
}

describe("workers wanted", () => {
  test("are as many as begin all that waits within the target", () => {
    // 240 jobs of 10 s, four at a time: one worker does 24 a minute.
    expect(decide(waiting(240)).value).toBe(10);
    expect(decide({ runnable: { waiting: 80, prioritized: 100, due: 60 } }).value).toBe(10);
  });

  test("are no more than could have a job each, however long the jobs are", () => {
    const long = { paces: [{ profile: "default", jobMs: 3_600_000, jobsAtOnce: 1 }] };
    expect(decide({ ...waiting(3), ...long }).value).toBe(3);
  });

  test("stay for what runs: all that are busy with long jobs, as many as hold them where jobs are short", () => {
    const workers = { live: 8, busy: 8 };
    expect(decide({ active: 8, workers }).value).toBe(2);
    const paces = [{ profile: "default", jobMs: 600_000, jobsAtOnce: 4 }];
    expect(decide({ active: 8, workers, paces }).value).toBe(8);
  });

  test("are none for jobs that more workers would not begin", () => {
    const notRunnable = { paused: 50, delayed: 50, unschedulable: 50 };
    const signal = decide({ notRunnable });
    expect(signal.value).toBe(0);
    expect(signal.profiles[0]?.reasons.join("\n")).toMatch(/50 jobs fit no worker/);
  });

  test("are only those that still hold jobs while all is paused, whatever was wanted before", () => {
    const before = decide(waiting(2_000));
    expect(before.value).toBe(84);
    const busy = decide({ ...waiting(2_000), workers: { live: 5, busy: 2 } }, { before, isPaused: true });
    expect(busy.value).toBe(2);
    expect(decide(waiting(2_000), { before, isPaused: true }).value).toBe(0);
  });

  test("rise at once and fall when a whole cooldown asked for fewer", () => {
    const high = decide(waiting(240), { nowMs: 0 });
    const low = decide(waiting(24), { nowMs: 100_000, before: high });
    expect(low.profiles[0]).toMatchObject({ needed: 1, value: 10 });
    const later = decide(waiting(24), { nowMs: 299_999, before: low });
    expect(later.value).toBe(10);
    const cool = decide(waiting(24), { nowMs: 300_000, before: later });
    expect(cool.value).toBe(1);
    expect(decide(waiting(480), { nowMs: 300_001, before: cool }).value).toBe(20);
  });

  test("keep few peaks, however long the cooldown", () => {
    let before: ScalingSignal | undefined;
    for (let at = 0; at < 10_000; at += 1) {
      const then = { nowMs: 100 * at, ...(before && { before }) };
      before = decide(waiting(100_000 - 10 * at), then);
    }
    const [first, ...others] = before?.profiles[0]?.peaks ?? [];
    expect(others.length).toBeLessThan(61);
    // What was needed 300 s before the end.
    expect(first?.needed).toBeCloseTo((100_000 - 10 * 7_000) / 24, -1);
  });

  test("grow twofold while a scan holds jobs back, and stay within the limits", () => {
    expect(decide({ ...waiting(24), hasMore: true, workers: { live: 3, busy: 3 } }).value).toBe(6);
    expect(decide({ ...waiting(24), hasMore: true, workers: { live: 90, busy: 90 } }).value).toBe(100);
  });

  test("are few where nothing is known of the jobs, and reckoned with what is remembered where no worker lives", () => {
    const unknown = { paces: [], workers: { live: 0, busy: 0 }, roomForJobs: undefined };
    const first = decide({ ...waiting(20_000), ...unknown });
    expect(first.value).toBe(1);
    expect(first.profiles[0]?.pace.basis).toBe("assumed");
    // Two workers run the first jobs, which are longer than was assumed.
    const long = { ...unknown, workers: { live: 2, busy: 2 }, active: 8, roomForJobs: 4, longestRunMs: 60_000 };
    expect(decide({ ...waiting(4), ...long }).value).toBe(3);
    expect(decide({ ...waiting(60), ...long }).value).toBe(4);
    const known = decide({ ...waiting(240), ...unknown, remembered: { jobMs: 10_000, jobsAtOnce: 4 } });
    expect(known).toMatchObject({ value: 10, profiles: [{ pace: { basis: "remembered" } }] });
  });

  test("keep to the least of the limits, but not while all is paused", () => {
    const facts = { nowMs: 0, isPaused: false, profiles: [profile()] };
    expect(decideScaling(facts, { ...settings, minWorkers: 2 }, undefined).value).toBe(2);
    expect(decideScaling({ ...facts, isPaused: true }, { ...settings, minWorkers: 2 }, undefined).value).toBe(0);
  });
});

describe("what is asked of the signal", () => {
  const facts = [
    profile({ ...waiting(12) }),
    profile({ ...waiting(12), profile: "small" }),
    profile({ ...waiting(240), profile: "big", labels: ["gpu"] }),
  ];
  const signal = decideScaling({ nowMs: 0, isPaused: false, profiles: facts }, settings, undefined);

  test("is one number for all, for a profile, or for a pool of workers", () => {
    expect(answerScaling(signal, {}).value).toBe(11);
    expect(answerScaling(signal, { profile: "small" })).toMatchObject({ value: 1, profiles: [{ profile: "small" }] });
    expect(answerScaling(signal, { labels: ["gpu", "ssd"] })).toMatchObject({
      value: 10,
      profiles: [{ profile: "big" }],
    });
    expect(answerScaling(signal, { labels: [] }).value).toBe(1);
  });

  test("is refused for a profile that nobody knows, and while no leader has decided", () => {
    expect(() => answerScaling(signal, { profile: "defualt" })).toThrow(/defualt/);
    expect(() => answerScaling(undefined, {})).toThrow(/expected a scheduler that leads/);
  });
});
