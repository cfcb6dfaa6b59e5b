import { expect } from "vitest";
import { ControlBus } from "../../../src/platform/control.ts";
import { createLogger } from "../../../src/platform/logger.ts";
import { openRedis, closeRedis } from "../../../src/platform/redis.ts";
import { sweepOldRuns } from "../../../src/scheduler/retention.ts";
import { SchedulerService } from "../../../src/scheduler/scheduler-service.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { test } from "../../support/redis.ts";
import { ranFile } from "../../support/board-fixture.ts";
import { openScheduler } from "../../support/scheduler-fixture.ts";

test("forgets all runs that ended before, a few at a time, with their files, and no other", async ({
  redis,
  prefix,
}) => {
  await using fixture = await openScheduler(redis, prefix, "2026-01-01T00:00:00Z");
  const { store } = fixture;
  const { spec } = await fixture.client.run(fixture.request()).then(({ run }) => run);
  const add = async (id: string, endedAtMs: number | undefined) => {
    await store.runs.create({ id, spec, createdAtMs: 1 });
    await store.files.record(id, 0, [ranFile(0, "a")]);
    if (endedAtMs !== undefined) await store.runs.move(id, ["queued"], "succeeded", { endedAtMs });
  };
  const old = Array.from({ length: 45 }, (_one, at) => `old-${at}`);
  for (const id of old) await add(id, 999);
  await add("young", 1_000);
  await add("open", undefined);
  let steps = 0;
  const forgotten: string[] = [];
  const term = { require: () => void (steps += 1) };
  const onForgotten = (id: string) => void forgotten.push(id);
  expect(await sweepOldRuns({ store, term, onForgotten }, 1_000)).toBe(45);
  expect(steps).toBe(3);
  expect(forgotten.toSorted()).toEqual(old.toSorted());
  for (const id of old) expect(await store.runs.get(id)).toBeUndefined();
  expect((await store.files.counts("old-0", 0)).total).toBe(0);
  for (const id of ["young", "open"]) expect(await store.files.counts(id, 0)).toMatchObject({ total: 1 });
  expect(await sweepOldRuns({ store, term, onForgotten }, 1_000)).toBe(0);
  const over = () => {
    throw new Error("the term is over");
  };
  await expect(sweepOldRuns({ store, term: { require: over }, onForgotten }, 2_000)).rejects.toThrow(
    "the term is over",
  );
  expect(await store.runs.get("young")).toBeDefined();
});

test("what is kept of a run beside the store and cannot be removed keeps no other run, and is told", async ({
  redis,
  redisUrl,
  prefix,
}) => {
  await using fixture = await openScheduler(redis, prefix, "2026-01-02T00:00:00Z");
  const { store, kp } = fixture;
  const { spec } = await fixture.client.run(fixture.request()).then(({ run }) => run);
  // More than one step deletes.
  const old = Array.from({ length: 25 }, (_one, at) => `old-${at}`);
  for (const id of old) {
    await store.runs.create({ id, spec, createdAtMs: 1 });
    await store.runs.move(id, ["queued"], "succeeded", { endedAtMs: 2 });
  }
  const lines: string[] = [];
  const logger = createLogger("info", {}, { write: (text: string) => lines.push(text) });
  const subscriber = openRedis(redisUrl, "subscriber", quietLogger);
  const control = new ControlBus({ redis, subscriber, logger: quietLogger }, kp);
  const { clock, metrics } = fixture.deps();
  const told: string[] = [];
  const onForgotten = (runId: string) => {
    told.push(runId);
    throw new Error(`the folder of ${runId} is busy`);
  };
  const scheduler = new SchedulerService(
    { redis, control, store, clock, logger, metrics, onForgotten },
    { kp, schedulerId: "s", keepRunsMs: 3_600_000 },
  );
  await control.start();
  await scheduler.start();
  try {
    await expect.poll(() => lines.join(""), { timeout: 20_000 }).toContain("old runs deleted");
  } finally {
    await scheduler.stop();
    await control.stop();
    await closeRedis(subscriber);
  }
  expect(told.toSorted()).toEqual(old.toSorted());
  for (const id of old) expect(await store.runs.get(id)).toBeUndefined();
  const warned = lines.filter((line) => line.includes("what is kept of a deleted run beside the store is left"));
  expect(warned).toHaveLength(25);
  expect(warned.join("")).toContain("the folder of old-7 is busy");
});
