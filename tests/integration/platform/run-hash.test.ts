import { expect } from "vitest";
import { keys, keyPrefix } from "../../../src/contract/queues.ts";
import { RunHash } from "../../../src/platform/run-hash.ts";
import { test } from "../../support/redis.ts";
import { testSpec } from "../../support/board-fixture.ts";

const run = { runId: "r1", spec: testSpec(), epoch: 1, state: "running", createdAtMs: 1_000 } as const;

test("counts what happens while a run goes on, and tells followers", async ({ redis, prefix }) => {
  const kp = keyPrefix(prefix);
  const hash = new RunHash(redis, kp);
  await hash.create(run);
  await hash.count(run, { succeeded: 3, failed: 0 });
  await hash.count(run, { succeeded: 2, retried: 1 });
  expect(await hash.counters("r1")).toMatchObject({ succeeded: 5, failed: 0, retried: 1 });
  expect(await redis.xlen(keys.events(kp, "r1"))).toBe(2);
  await redis.del(keys.run(kp, "r1"), keys.events(kp, "r1"));
});

test("sets nothing that comes late, makes no run of its own, and takes no total back", async ({ redis, prefix }) => {
  const kp = keyPrefix(prefix);
  const hash = new RunHash(redis, kp);
  const fields = async () => redis.hmget(keys.run(kp, "r1"), "total", "scanned", "room");
  await hash.create(run);
  await hash.set(run, { total: 120, scanned: "1" });
  await hash.set(run, { total: 109, room: "{}" });
  expect(await fields()).toEqual(["120", "1", "{}"]);
  await hash.set({ ...run, epoch: 0 }, { total: 500 });
  await hash.move("r1", ["running"], "succeeded");
  await hash.set(run, { total: 130, room: "late" });
  await hash.set({ runId: "r1" }, { broken: "late" });
  expect(await fields()).toEqual(["120", "1", "{}"]);
  await hash.set({ runId: "gone" }, { broken: "late" });
  expect(await redis.exists(keys.run(kp, "gone"))).toBe(0);
  await redis.del(keys.run(kp, "r1"), keys.events(kp, "r1"));
});

test("counts nothing that comes late: after the end, from before a resume, or for a run that is not there", async ({
  redis,
  prefix,
}) => {
  const kp = keyPrefix(prefix);
  const hash = new RunHash(redis, kp);
  await hash.create(run);
  await hash.count({ ...run, epoch: 0 }, { succeeded: 7 });
  expect(await hash.move("r1", ["running"], "succeeded", { succeeded: 5 })).toBe(true);
  await hash.count(run, { succeeded: 2 });
  expect(await hash.counters("r1")).toMatchObject({ succeeded: 5 });
  await hash.count({ runId: "gone", epoch: 0 }, { succeeded: 1 });
  expect(await redis.exists(keys.run(kp, "gone"))).toBe(0);
  await redis.del(keys.run(kp, "r1"), keys.events(kp, "r1"));
});

test("pins the model of a run once in each epoch, and none of a run that is not there", async ({ redis, prefix }) => {
  const kp = keyPrefix(prefix);
  const hash = new RunHash(redis, kp);
  await hash.create(run);
  expect(await hash.pinModel({ ...run, epoch: 0 }, "late")).toBe("late");
  expect(await Promise.all([hash.pinModel(run, "a"), hash.pinModel(run, "b")])).toEqual(["a", "a"]);
  await hash.create({ ...run, epoch: 2 });
  expect(await hash.pinModel({ ...run, epoch: 2 }, "b")).toBe("b");
  expect(await hash.pinModel({ runId: "gone", epoch: 0 }, "c")).toBe("c");
  expect(await redis.exists(keys.run(kp, "gone"))).toBe(0);
  await redis.del(keys.run(kp, "r1"), keys.events(kp, "r1"));
});
