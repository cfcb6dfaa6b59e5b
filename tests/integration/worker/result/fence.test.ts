/** The journal of a chunk over a real Redis: who may write it, and whom a loss is blamed on. */
import type { Redis } from "ioredis";
import { expect } from "vitest";
import { keyPrefix, keys } from "../../../../src/contract/queues.ts";
import { lockToken, parseToken } from "../../../../src/worker/lane-token.ts";
import { HEARTBEAT_KEPT_MS } from "../../../../src/contract/status.ts";
import { Fence } from "../../../../src/worker/result/fence.ts";
import { deletePrefix, test } from "../../../support/redis.ts";

const LOCK_MS = 30_000;
const STARTED_MS = 1_000_000;
const entry = { p: "a", t: ".tmp", c: "digest" };

function setUp(redis: Redis, prefix: string) {
  const kp = keyPrefix(prefix);
  const queue = "exec.default@1";
  const hold = async (workerId: string, { startedAtMs = STARTED_MS, jobId = "r.0.c0" } = {}) => {
    const token = lockToken({ workerId, startedAtMs }, STARTED_MS + 1, 1);
    await redis.set(`${kp}:${queue}:${jobId}:lock`, token, "PX", LOCK_MS);
    return new Fence(redis, kp, { queue, jobId, token });
  };
  const beat = async (workerId: string, startedAtMs: number, ageMs: number) => {
    await redis.hset(keys.worker(kp, workerId), { json: "{}", startedAtMs });
    await redis.pexpire(keys.worker(kp, workerId), HEARTBEAT_KEPT_MS - ageMs);
  };
  /** What the next holder makes of the entries that the first one wrote. */
  const recover = async (first: Parameters<typeof hold>[1] = {}, entries = [entry]) => {
    await (await hold("first", first)).write(new Map(entries.map((one, at) => [at, one])));
    const next = await hold("next", first);
    const blamed: boolean[] = [];
    for (const [index, intent] of (await next.read()).intents) blamed.push(await next.blame(index, intent));
    const [count, losses] = await Promise.all(
      [keys.crashes(kp), keys.losses(kp)].map((key) => redis.hget(key, entry.c)),
    );
    return { blamed, count, losses, left: (await next.read()).intents.size };
  };
  return { hold, beat, recover, [Symbol.asyncDispose]: () => deletePrefix(redis, prefix) };
}

test("blames a file for a worker of which nothing was heard", async ({ redis, prefix }) => {
  await using chunk = setUp(redis, prefix);
  expect(await chunk.recover()).toEqual({ blamed: [true], count: "1", losses: "1", left: 0 });
});

test("blames a file for a worker that has been silent for half its lock", async ({ redis, prefix }) => {
  await using chunk = setUp(redis, prefix);
  await chunk.beat("first", STARTED_MS, LOCK_MS / 2);
  expect(await chunk.recover()).toMatchObject({ blamed: [true], count: "1" });
});

test("blames a file for a worker whose successor of the same name lives", async ({ redis, prefix }) => {
  await using chunk = setUp(redis, prefix);
  // Whatever the clock says: the successor may have been started after it was set back.
  await chunk.beat("first", STARTED_MS - 1, 0);
  expect(await chunk.recover()).toMatchObject({ blamed: [true], count: "1" });
});

test("blames no file while the worker lives that lost its lock", async ({ redis, prefix }) => {
  await using chunk = setUp(redis, prefix);
  await chunk.beat("first", STARTED_MS, 1_000);
  expect(await chunk.recover()).toEqual({ blamed: [false], count: null, losses: null, left: 0 });
});

test("counts one lost worker once for all files with the same digest, and the next one again", async ({
  redis,
  prefix,
}) => {
  await using chunk = setUp(redis, prefix);
  const copies = [entry, { ...entry, p: "copy" }, { ...entry, p: "other copy" }];
  expect(await chunk.recover({}, copies)).toEqual({ blamed: [true, false, false], count: "1", losses: "1", left: 0 });
  expect(await chunk.recover({ jobId: "r.0.c1" })).toMatchObject({ blamed: [false], count: "1" });
  expect(await chunk.recover({ startedAtMs: STARTED_MS + 5 })).toMatchObject({ blamed: [true], count: "2" });
});

test("blames no file that was given back in order, but names its temporary file", async ({ redis, prefix }) => {
  await using chunk = setUp(redis, prefix);
  const { hold } = chunk;
  const first = await hold("first");
  await first.write(new Map([[0, entry]]));
  await first.absolve();
  const next = await hold("next");
  expect((await next.read()).intents.get(0)).toMatchObject({ p: "a", t: ".tmp" });
  expect((await next.read()).intents.get(0)?.c).toBeUndefined();
});

test("lets only the holder of the lock write, settle and blame", async ({ redis, prefix }) => {
  await using chunk = setUp(redis, prefix);
  const { hold } = chunk;
  const late = await hold("late");
  const holder = await hold("holder");
  await holder.write(new Map([[0, entry]]));
  expect(await late.write(new Map([[0, { ...entry, p: "late" }]]))).toBe(false);
  expect(await late.settle([0])).toBe(false);
  expect(await late.blame(0, entry)).toBe(false);
  expect((await holder.read()).intents.get(0)).toMatchObject({ p: "a", c: "digest" });
  expect(await holder.settle([0])).toBe(true);
  expect((await holder.read()).intents.size).toBe(0);
});

test("reads back who claimed, also when the worker's name has colons", () => {
  const worker = { workerId: "a:b:1", startedAtMs: 42 };
  expect(parseToken(lockToken(worker, 43, 7))).toEqual(worker);
  expect(parseToken("")).toEqual({ workerId: "", startedAtMs: 0 });
});
