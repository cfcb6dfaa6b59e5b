/** The scale signal over the keys that BullMQ really writes: one that is read wrong would count nothing, for ever. */
import { describe, expect } from "vitest";
import { ALL_WORKERS } from "../../../src/contract/limits.ts";
import { MiB } from "../../../src/contract/resources.ts";
import type { ScalingSignal } from "../../../src/contract/scaling.ts";
import { bucketOf, defaultProfile } from "../../../src/contract/profiles.ts";
import { keys } from "../../../src/contract/queues.ts";
import type { WorkerHeartbeat } from "../../../src/contract/status.ts";
import { placeOf, type QueuePlace } from "../../../src/platform/job-queues.ts";
import { resetLimits, setLimits } from "../../../src/platform/limits.ts";
import { answerScaling, loadScaling, parseScalingQuery, scalingRoute } from "../../../src/platform/scaling.ts";
import { collectScalingMetrics, signalScaling, type ScaleSettings } from "../../../src/scheduler/scale-signal.ts";
import { startIntake } from "../../support/intake-fixture.ts";
import { test } from "../../support/redis.ts";
import { openScheduler, type SchedulerFixture } from "../../support/scheduler-fixture.ts";

const settings: ScaleSettings = {
  ...{ targetWaitMs: 60_000, minWorkers: 0, maxWorkers: 50 },
  ...{ cooldownMs: 0, drainMs: 25_000, profiles: ["declared"] },
};
const place = placeOf("exec", "default", defaultProfile, 128 * MiB);
const onCard = placeOf("exec", "default", { ...defaultProfile, labels: ["gpu"] }, 128 * MiB);
const shutIn = placeOf("exec", "default", { ...defaultProfile, labels: ["sandbox"] }, 128 * MiB);
const onCardShutIn = placeOf("exec", "default", { ...defaultProfile, labels: ["gpu", "sandbox"] }, 128 * MiB);
const huge = placeOf("exec", "huge", defaultProfile, 64 * 1_024 * MiB);

/** Jobs as a run adds them; nobody runs them here. */
async function add(fixture: SchedulerFixture, to: QueuePlace, count: number, options: object = {}): Promise<void> {
  const { queues } = fixture.deps();
  await queues.announce(to);
  const jobs = Array.from({ length: count }, (_one, at) => ({
    name: "exec",
    data: { runId: `r${at}` },
    opts: options,
  }));
  for (let at = 0; at < count; at += 1_000) await queues.queue(to.name).addBulk(jobs.slice(at, at + 1_000));
  await queues.close();
}

async function beat(fixture: SchedulerFixture, change: Partial<WorkerHeartbeat> = {}): Promise<void> {
  const { redis, kp, clock } = fixture.deps();
  const amounts = { memoryBytes: 1_024 * MiB, cpuCores: 4, processes: 4 };
  const heartbeat: WorkerHeartbeat = {
    ...{ workerId: "w1", host: "h1", pid: 1, startedAtMs: 0, atMs: clock.nowMs(), state: "working", labels: [] },
    ...{ capacity: amounts, reserved: {}, observed: {}, headroom: amounts, largestJobBytes: 900 * MiB },
    ...{ running: [], waiting: [], keepsRoomFor: null },
    ...change,
  };
  await redis.sadd(keys.workers(kp), heartbeat.workerId);
  await redis.hset(keys.worker(kp, heartbeat.workerId), "json", JSON.stringify(heartbeat));
}

function decide(fixture: SchedulerFixture, maxWorkers = settings.maxWorkers): Promise<ScalingSignal> {
  return signalScaling(fixture.deps(), { ...settings, maxWorkers });
}

/** What all workers, those without labels and those with a card are asked for; and the same as lengths of lists. */
async function decidePools(fixture: SchedulerFixture): Promise<readonly number[]> {
  const { redis, kp } = fixture.deps();
  const signal = await decide(fixture, 20);
  const lists = [undefined, [], ["gpu"]].map((labels) => redis.llen(keys.workersWanted(kp, labels)));
  const told = ["", "labels=", "labels=gpu"].map(
    (query) => answerScaling(signal, parseScalingQuery(new URLSearchParams(query))).value,
  );
  expect(await Promise.all(lists)).toEqual(told);
  return told;
}

const ofProfile = (signal: ScalingSignal, name: string) => signal.profiles.find(({ profile }) => profile === name);

describe("scale signal", () => {
  test("asks for workers for 20,000 prioritized jobs, and tells it to whoever asks", async ({ redis, prefix }) => {
    await using fixture = await openScheduler(redis, prefix, "2026-01-01T00:00:00Z");
    await add(fixture, place, 20_000, { priority: 5 });
    await beat(fixture, { pace: [{ profile: "default", jobMs: 100, jobsAtOnce: 4 }] });
    const signal = await decide(fixture);
    // 20,000 jobs of 0.1 s, four at a time, within 60 s.
    expect(ofProfile(signal, "default")).toMatchObject({ value: 9, runnable: { prioritized: 20_000 } });
    const { kp, metrics } = fixture.deps();
    expect(await loadScaling(redis, kp)).toEqual(signal);
    expect(await redis.llen(keys.workersWanted(kp))).toBe(signal.value);
    expect(await redis.pttl(keys.workersWanted(kp))).toBeGreaterThan(0);
    const route = scalingRoute({ redis, kp });
    expect(await route.answer(new URLSearchParams("profile=default"))).toMatchObject({
      status: 200,
      body: { value: 9 },
    });
    expect(await route.answer(new URLSearchParams("profile=declared"))).toMatchObject({ body: { value: 0 } });
    await expect(route.answer(new URLSearchParams("profile=other"))).rejects.toThrow(/other/);
    await expect(route.answer(new URLSearchParams("porfile=default"))).rejects.toThrow(/porfile/);
    await using intake = await startIntake({ redis, prefix });
    expect(await (await intake.ask("/v1/scaling?profile=default")).json()).toMatchObject({ value: 9 });
    expect((await intake.ask("/v1/scaling?profile=other")).status).toBe(404);
    expect((await intake.ask("/v1/scaling?porfile=default")).status).toBe(400);
    await collectScalingMetrics({ redis, kp, metrics });
    const text = await metrics.expose();
    expect(text).toMatch(/headroom_scaling_workers_wanted\{.*profile="default".*\} 9/);
    expect(text).toMatch(/headroom_scaling_runnable_jobs\{.*profile="default".*\} 20000/);
  });

  test("counts jobs that wait, are prioritized or due, and none that are delayed", async ({ redis, prefix }) => {
    await using fixture = await openScheduler(redis, prefix, "2026-01-01T00:00:00Z");
    await add(fixture, place, 3);
    await add(fixture, place, 4, { priority: 1 });
    await add(fixture, place, 5, { delay: 1_000 });
    // Delayed jobs are due by the time of whoever added them, which is now.
    const later = (ms: number) => {
      fixture.clock.set(new Date(Date.now() + ms).toISOString());
    };
    later(-60_000);
    const before = ofProfile(await decide(fixture), "default");
    expect(before).toMatchObject({ runnable: { waiting: 3, prioritized: 4, due: 0 }, notRunnable: { delayed: 5 } });
    later(60_000);
    const after = ofProfile(await decide(fixture), "default");
    expect(after).toMatchObject({ runnable: { waiting: 3, prioritized: 4, due: 5 }, notRunnable: { delayed: 0 } });
  });

  test("asks for none while all is paused, or the queue is", async ({ redis, prefix }) => {
    await using fixture = await openScheduler(redis, prefix, "2026-01-01T00:00:00Z");
    await add(fixture, place, 100);
    await beat(fixture);
    expect((await decide(fixture)).value).toBeGreaterThan(0);
    await setLimits(fixture.deps(), ALL_WORKERS, { paused: true });
    expect(await decide(fixture)).toMatchObject({ value: 0, isPaused: true });
    await resetLimits(fixture.deps(), undefined);
    expect((await decide(fixture)).value).toBeGreaterThan(0);
    const { queues } = fixture.deps();
    await queues.queue(place.name).pause();
    expect(ofProfile(await decide(fixture), "default")).toMatchObject({ value: 0, notRunnable: { paused: 100 } });
    await queues.queue(place.name).resume();
    expect((await decide(fixture)).value).toBeGreaterThan(0);
  });

  test("asks for none for jobs that are too large for every worker", async ({ redis, prefix }) => {
    await using fixture = await openScheduler(redis, prefix, "2026-01-01T00:00:00Z");
    await add(fixture, huge, 100);
    await beat(fixture);
    expect(ofProfile(await decide(fixture), "huge")).toMatchObject({ value: 0, notRunnable: { unschedulable: 100 } });
    expect(bucketOf(64 * 1_024 * MiB)).toBeGreaterThan(bucketOf(900 * MiB));
    await beat(fixture, { workerId: "w2", largestJobBytes: 128 * 1_024 * MiB });
    expect(ofProfile(await decide(fixture), "huge")?.value).toBeGreaterThan(0);
  });

  test("asks each pool for the jobs that need its labels, where one profile has jobs with several", async ({
    redis,
    prefix,
  }) => {
    await using fixture = await openScheduler(redis, prefix, "2026-01-01T00:00:00Z");
    const { kp, queues, metrics } = fixture.deps();
    const pace = [{ profile: "default", jobMs: 1_000, jobsAtOnce: 4 }];
    await add(fixture, place, 5_000, { priority: 5 });
    await beat(fixture, { pace });
    expect(await decidePools(fixture), "plain jobs").toEqual([20, 20, 0]);
    await add(fixture, onCard, 1);
    expect(await decidePools(fixture), "and one for a card").toEqual([20, 20, 1]);
    const signal = await decide(fixture);
    expect(signal.profiles.filter(({ profile }) => profile === "default")).toMatchObject([
      { labels: [], runnable: { prioritized: 5_000 }, workers: { live: 1 }, pace: { basis: "measured" } },
      { labels: ["gpu"], runnable: { waiting: 1 }, workers: { live: 0 }, pace: { basis: "remembered" } },
    ]);
    expect(answerScaling(signal, { profile: "default" }).value).toBe(21);
    await collectScalingMetrics({ redis, kp, metrics });
    const told = await metrics.expose();
    expect(told).toMatch(/headroom_scaling_workers_wanted\{.*profile="default".*\} 21/);
    expect(told).toMatch(/headroom_scaling_runnable_jobs\{.*profile="default".*\} 5001/);
    await queues.queue(onCard.name).drain();
    expect(await decidePools(fixture), "that one is gone, its queue is known").toEqual([20, 20, 0]);
    expect((await decide(fixture)).profiles.filter(({ profile }) => profile === "default")).toHaveLength(1);
    await beat(fixture, { workerId: "g1", labels: ["gpu"], pace });
    expect(await decidePools(fixture), "a worker with a card").toEqual([20, 20, 0]);
    await queues.close();
  });

  test("counts jobs that are shut in for the pool that could take them, unless its workers cannot shut in", async ({
    redis,
    prefix,
  }) => {
    await using fixture = await openScheduler(redis, prefix, "2026-01-01T00:00:00Z");
    const { queues } = fixture.deps();
    const pace = [{ profile: "default", jobMs: 1_000, jobsAtOnce: 4 }];
    await add(fixture, shutIn, 5_000);
    await add(fixture, onCardShutIn, 1);
    await beat(fixture, { pace });
    expect(await decidePools(fixture), "no sandbox on the workers without a card").toEqual([1, 0, 1]);
    await beat(fixture, { pace, labels: ["sandbox"] });
    expect(await decidePools(fixture), "with a sandbox").toEqual([20, 20, 1]);
    await queues.close();
  });

  test("holds workers that are busy with long jobs beside jobs of the profile that they may not take", async ({
    redis,
    prefix,
  }) => {
    await using fixture = await openScheduler(redis, prefix, "2026-01-01T00:00:00Z");
    const { queues } = fixture.deps();
    await add(fixture, onCard, 1);
    await queues.announce(place);
    const long = [{ profile: "default", jobMs: 600_000, jobsAtOnce: 1 }];
    const job = { queue: place.name, jobId: "r1.0.c1", runId: "r1", sinceMs: 0 };
    const running = [{ ...job, reserved: {}, rssBytes: null, endsAtMs: null, enforced: null }];
    for (const workerId of ["w1", "w2", "w3"]) await beat(fixture, { workerId, pace: long, running });
    expect(await decidePools(fixture)).toEqual([4, 3, 1]);
    await queues.close();
  });

  test("lets its lists stand when no scheduler leads, and shortens those of labels that no job asks for", async ({
    redis,
    prefix,
  }) => {
    await using fixture = await openScheduler(redis, prefix, "2026-01-01T00:00:00Z");
    const { kp, queues } = fixture.deps();
    await add(fixture, onCard, 1);
    expect(await decidePools(fixture)).toEqual([1, 0, 1]);
    expect(await redis.pttl(keys.scaling(kp))).toBeLessThanOrEqual(30_000);
    expect(await redis.pttl(keys.workersWanted(kp, ["gpu"]))).toBeGreaterThan(1_800_000);
    await queues.queue(onCard.name).drain();
    expect(await decidePools(fixture)).toEqual([0, 0, 0]);
    await queues.close();
  });

  test("remembers how fast a worker was when none lives any more", async ({ redis, prefix }) => {
    await using fixture = await openScheduler(redis, prefix, "2026-01-01T00:00:00Z");
    await add(fixture, place, 600);
    await beat(fixture, { pace: [{ profile: "default", jobMs: 2_000, jobsAtOnce: 2 }] });
    await decide(fixture);
    fixture.clock.set("2026-01-01T01:00:00Z");
    const signal = ofProfile(await decide(fixture), "default");
    expect(signal).toMatchObject({ value: 10, workers: { live: 0 }, pace: { basis: "remembered" } });
  });
});
