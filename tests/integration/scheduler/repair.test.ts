/** Runs that are stuck, each made by hand in a real Redis: found and mended by a leader's round, and then they end. */
import { writeFileSync } from "node:fs";
import type { Redis } from "ioredis";
import { describe, expect } from "vitest";
import { jobIds, keys } from "../../../src/contract/queues.ts";
import type { RunRecord } from "../../../src/contract/run-record.ts";
import { execPlace, reportPlace, scanPlace } from "../../../src/platform/job-queues.ts";
import { LeftoverHashes, LeftoverJobs } from "../../../src/scheduler/leftovers.ts";
import { RunRepair } from "../../../src/scheduler/repair.ts";
import { WorkerService } from "../../../src/worker/worker-service.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { Metrics } from "../../../src/platform/metrics.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { test } from "../../support/redis.ts";
import { openScheduler, type SchedulerFixture, type StepDeps } from "../../support/scheduler-fixture.ts";

const PATIENT = { timeout: 30_000, interval: 20 };

/** A run whose jobs wait, long enough ago that nobody is about to add any. */
async function stuckRun(at: SchedulerFixture, input: unknown = at.folder): Promise<RunRecord> {
  for (const name of ["a", "b"]) writeFileSync(`${at.folder}/${name}`, name);
  const { run } = await at.client.run({ ...at.request(), executor: "noop", input: input as string });
  at.clock.set(new Date(run.createdAtMs + 60_000).toISOString());
  return run;
}

async function repairs(deps: StepDeps, repair: string): Promise<number> {
  const { values } = await deps.metrics.counter("headroom_repairs_total").get();
  return values.find(({ labels }) => labels.repair === repair)?.value ?? 0;
}

/** Lets a worker work until the run has ended. */
async function expectEnd(at: SchedulerFixture, redisUrl: string, runId: string, state = "succeeded"): Promise<void> {
  const metrics = new Metrics({ version: "0", process: "worker" }, quietLogger);
  const worker = new WorkerService(
    { redisUrl, store: at.store, logger: quietLogger, metrics, clock: systemClock, onStuck: () => undefined },
    {
      ...{ kp: at.kp, workerId: "w", labels: [], governor: { machine: {} }, lockMs: 10_000 },
      ...{ drainMs: 5_000, nice: 0, allow: {} },
    },
  );
  await worker.start();
  try {
    await expect.poll(async () => (await at.client.status(runId)).state, PATIENT).toBe(state);
  } finally {
    await worker.stop();
  }
}

const rootKey = (at: SchedulerFixture, run: RunRecord) =>
  `${at.kp}:${reportPlace.name}:${jobIds.report(run.id, run.epoch)}`;

const open = (redis: Redis, prefix: string) => openScheduler(redis, prefix, new Date().toISOString());

describe("a stuck run is mended, and ends", () => {
  test("when its root is gone, with all jobs", async ({ redis, redisUrl, prefix }) => {
    await using at = await open(redis, prefix);
    const run = await stuckRun(at);
    const deps = at.deps();
    await (await deps.queues.queue(reportPlace.name).getJob(jobIds.report(run.id, 0)))?.remove();
    expect(await new RunRepair().round(deps)).toBe(1);
    expect(await repairs(deps, "requeue")).toBe(1);
    expect(await new RunRepair().round(deps)).toBe(0);
    await expectEnd(at, redisUrl, run.id);
  });

  test("when Redis lost everything", async ({ redis, redisUrl, prefix }) => {
    await using at = await open(redis, prefix);
    const run = await stuckRun(at);
    const deps = at.deps();
    await redis.del(...(await redis.keys(`${at.kp}*`)));
    expect(await new RunRepair().round(at.deps())).toBe(1);
    expect((await deps.hash.load(run.id))?.state).toBe("queued");
    await expectEnd(at, redisUrl, run.id);
  });

  test("when its hash is gone", async ({ redis, redisUrl, prefix }) => {
    await using at = await open(redis, prefix);
    const run = await stuckRun(at);
    const deps = at.deps();
    await redis.del(keys.run(at.kp, run.id));
    expect(await new RunRepair().round(deps)).toBe(1);
    expect(await repairs(deps, "restore")).toBe(1);
    expect((await deps.hash.load(run.id))?.spec).toEqual(run.spec);
    await expectEnd(at, redisUrl, run.id);
  });

  test("when its root waits for children, and has none", async ({ redis, redisUrl, prefix }) => {
    await using at = await open(redis, prefix);
    const run = await stuckRun(at);
    const deps = at.deps();
    await redis.del(`${rootKey(at, run)}:dependencies`);
    await deps.queues.queue(scanPlace.name).obliterate({ force: true });
    const root = await deps.queues.queue(reportPlace.name).getJob(jobIds.report(run.id, 0));
    expect(await root?.getState()).toBe("waiting-children");
    expect(await new RunRepair().round(deps)).toBe(1);
    expect(await repairs(deps, "release")).toBe(1);
    expect(await root?.getState()).toBe("waiting");
    await expectEnd(at, redisUrl, run.id);
  });

  test("when a child ended, or vanished, and never told its parent", async ({ redis, redisUrl, prefix }) => {
    await using at = await open(redis, prefix);
    const run = await stuckRun(at, [`${at.folder}/a`, `${at.folder}/b`]);
    const deps = at.deps();
    const place = `${at.kp}:${execPlace(run.spec).name}`;
    const [vanished, ended] = [jobIds.chunk(run.id, 0, "0"), jobIds.chunk(run.id, 0, "1")];
    // As a Redis leaves them that was killed in between: one is gone, the other says that it has ended.
    await redis.lrem(`${place}:wait`, 0, vanished);
    await redis.del(`${place}:${vanished}`);
    await redis.lrem(`${place}:wait`, 0, ended);
    await redis.hset(`${place}:${ended}`, "finishedOn", Date.now(), "returnvalue", "null");
    await redis.zadd(`${place}:completed`, Date.now(), ended);
    expect(await redis.scard(`${rootKey(at, run)}:dependencies`)).toBe(2);
    expect(await new RunRepair().round(deps)).toBe(1);
    expect(await redis.scard(`${rootKey(at, run)}:dependencies`)).toBe(0);
    // Both files have no result: the report finds that, and has them looked for again.
    await expectEnd(at, redisUrl, run.id);
    expect((await at.client.status(run.id)).counts).toMatchObject({ total: 2, succeeded: 2 });
  });

  test("when it was resumed, and its caller died before it added the jobs", async ({ redis, redisUrl, prefix }) => {
    await using at = await open(redis, prefix);
    const run = await stuckRun(at);
    await expectEnd(at, redisUrl, run.id);
    await at.store.runs.reopen(run.id, run.spec, at.clock.nowMs());
    const deps = at.deps();
    // It began long before it was resumed, but its caller may be about to add the jobs.
    expect(await new RunRepair().round(deps)).toBe(0);
    at.clock.set(new Date(at.clock.nowMs() + 20_000).toISOString());
    expect(await new RunRepair().round(deps)).toBe(1);
    expect(await repairs(deps, "requeue")).toBe(1);
    expect(await deps.hash.stage(run.id)).toEqual({ epoch: 1, state: "queued" });
    await expectEnd(at, redisUrl, run.id);
    expect((await at.client.status(run.id)).epoch).toBe(1);
  });

  test("when its scan is gone, so that its root starts and knows of no file", async ({ redis, redisUrl, prefix }) => {
    await using at = await open(redis, prefix);
    const run = await stuckRun(at);
    const scans = at.deps().queues.queue(scanPlace.name);
    expect(await scans.remove(jobIds.scan(run.id, 0))).toBe(1);
    await expectEnd(at, redisUrl, run.id);
    // Those of the store are there too.
    expect((await at.client.status(run.id)).counts.succeeded).toBeGreaterThan(2);
  });

  test("but not by a leader whose look is old: the jobs that came since stay", async ({ redis, redisUrl, prefix }) => {
    await using at = await open(redis, prefix);
    const run = await stuckRun(at);
    const { queues } = at.deps();
    await queues.removeFirst({ runId: run.id, epoch: 0 }, run.spec);
    expect(await queues.openCount({ runId: run.id, epoch: 0 })).toBe(1);
    expect(await (await queues.queue(reportPlace.name).getJob(jobIds.report(run.id, 0)))?.getState()).toBe(
      "waiting-children",
    );
    await expectEnd(at, redisUrl, run.id);
  });

  test("when its cancel was acknowledged, and Redis lost it", async ({ redis, redisUrl, prefix }) => {
    await using at = await open(redis, prefix);
    const run = await stuckRun(at);
    // What is left of a cancel after a failover to a replica that had not heard of it.
    await at.store.runs.move(run.id, ["queued"], "cancelling", { message: "no longer wanted" });
    const deps = at.deps();
    await new RunRepair().round(deps);
    expect(await repairs(deps, "cancel")).toBe(1);
    await expectEnd(at, redisUrl, run.id, "cancelled");
  });

  test("but not one whose jobs are where they should be", async ({ redis, prefix }) => {
    await using at = await open(redis, prefix);
    const run = await stuckRun(at, [`${at.folder}/a`, `${at.folder}/b`]);
    const deps = at.deps();
    expect(await new RunRepair().round(deps)).toBe(0);
    expect(await redis.scard(`${rootKey(at, run)}:dependencies`)).toBe(2);
    expect(await deps.queues.openCount({ runId: run.id, epoch: 0 })).toBe(2);
  });
});

describe("what an ended run left behind is taken out", () => {
  test("jobs that wait", async ({ redis, prefix }) => {
    await using at = await open(redis, prefix);
    const ended = await stuckRun(at, [`${at.folder}/a`, `${at.folder}/b`]);
    const goesOn = await stuckRun(at, [`${at.folder}/a`, `${at.folder}/b`]);
    const deps = at.deps();
    await at.end(ended.id);
    // With a root go the children that it waits for.
    const removed = await new LeftoverJobs().round(deps);
    expect(removed).toBeGreaterThan(0);
    expect(await repairs(deps, "leftover-job")).toBe(removed);
    expect(await redis.keys(`${at.kp}:*:${ended.id}.*`)).toEqual([]);
    expect(await deps.queues.openCount({ runId: goesOn.id, epoch: 0 })).toBe(2);
    expect(await new LeftoverJobs().round(deps)).toBe(0);
  });

  test("jobs of a run that nobody knows", async ({ redis, prefix }) => {
    await using at = await open(redis, prefix);
    const deps = at.deps();
    const run = await stuckRun(at);
    const id = "nobody";
    await deps.queues.addRun({ runId: id, epoch: 0, traceId: id }, run.spec, "scan");
    await redis.del(keys.run(at.kp, id));
    expect(await new LeftoverJobs().round(deps)).toBeGreaterThan(0);
    expect(await redis.keys(`${at.kp}:*:${id}.*`)).toEqual([]);
  });

  test("a hash that says that it goes on", async ({ redis, prefix }) => {
    await using at = await open(redis, prefix);
    const run = await stuckRun(at);
    const deps = at.deps();
    await (await deps.queues.queue(reportPlace.name).getJob(jobIds.report(run.id, 0)))?.remove();
    const sweep = new LeftoverHashes();
    expect(await allOf(() => sweep.round(deps))).toBe(0);
    await at.store.runs.move(run.id, ["queued"], "failed", { endedAtMs: at.clock.nowMs() });
    expect(await allOf(() => sweep.round(deps))).toBe(1);
    expect(await deps.hash.state(run.id)).toBe("failed");
    expect(await redis.ttl(keys.run(at.kp, run.id))).toBeGreaterThan(0);
  });
});

/** As many rounds as a sweep over the keys of all tests may take. */
async function allOf(round: () => Promise<number>): Promise<number> {
  let sum = 0;
  for (let at = 0; at < 20; at += 1) sum += await round();
  return sum;
}

test("a round looks at a part of the open runs, the next one at the next part", async ({ redis, prefix }) => {
  await using at = await open(redis, prefix);
  const spec = (await stuckRun(at)).spec;
  // Their jobs were never added.
  for (let run = 0; run < 450; run += 1) {
    await at.store.runs.create({
      id: `r${String(run).padStart(4, "0")}`,
      spec,
      createdAtMs: at.clock.nowMs() - 60_000,
    });
  }
  const deps = at.deps();
  const repair = new RunRepair();
  const mended: number[] = [];
  for (let round = 0; round < 4; round += 1) mended.push(await repair.round(deps));
  expect(mended).toEqual([199, 200, 51, 0]);
});
