/** The journal of a chunk over a real Redis: who may write it, and whom a loss is blamed on. */
import type { Redis } from "ioredis";
import { expect } from "vitest";
import { keyPrefix, keys } from "../../../../src/contract/queues.ts";
import { lockToken, parseToken } from "../../../../src/worker/lane-token.ts";
import { HEARTBEAT_KEPT_MS } from "../../../../src/worker/heartbeat.ts";
import { Fence } from "../../../../src/worker/result/fence.ts";
import { deletePrefix, test } from "../../../support/redis.ts";

const LOCK_MS = 30_000;
const CLAIMED_MS = 1_000_000;
const entry = { p: "a", t: ".tmp", c: "digest" };

function setUp(redis: Redis, prefix: string) {
  const kp = keyPrefix(prefix);
  const place = { queue: "exec.default@1", jobId: "r.0.c0" };
  const lock = `${kp}:${place.queue}:${place.jobId}:lock`;
  const hold = async (workerId: string, claimedAtMs = CLAIMED_MS) => {
    const token = lockToken(workerId, claimedAtMs, 1);
    await redis.set(lock, token, "PX", LOCK_MS);
    return new Fence(redis, kp, { ...place, token });
  };
  const beat = async (workerId: string, startedAtMs: number, ageMs: number) => {
    await redis.hset(keys.worker(kp, workerId), { json: "{}", startedAtMs });
    await redis.pexpire(keys.worker(kp, workerId), HEARTBEAT_KEPT_MS - ageMs);
  };
  /** What the next holder makes of the entry that the first one wrote. */
  const recover = async () => {
    await (await hold("first")).write(new Map([[0, entry]]));
    const next = await hold("next", CLAIMED_MS + LOCK_MS);
    const intent = (await next.read()).intents.get(0);
    const isBlamed = intent !== undefined && (await next.blame(0, intent));
    return { isBlamed, count: await redis.hget(keys.crashes(kp), "digest"), next };
  };
  return { hold, beat, recover, [Symbol.asyncDispose]: () => deletePrefix(redis, prefix) };
}

test("blames a file for a worker of which nothing was heard", async ({ redis, prefix }) => {
  await using chunk = setUp(redis, prefix);
  const { recover } = chunk;
  const { isBlamed, count, next } = await recover();
  expect({ isBlamed, count }).toEqual({ isBlamed: true, count: "1" });
  expect((await next.read()).intents.get(0)).toEqual({ p: "a", t: "", n: 1 });
});

test("blames a file for a worker that has been silent for half its lock", async ({ redis, prefix }) => {
  await using chunk = setUp(redis, prefix);
  const { recover, beat } = chunk;
  await beat("first", CLAIMED_MS - 1, LOCK_MS / 2);
  expect(await recover()).toMatchObject({ isBlamed: true, count: "1" });
});

test("blames a file for a worker whose successor of the same name lives", async ({ redis, prefix }) => {
  await using chunk = setUp(redis, prefix);
  const { recover, beat } = chunk;
  await beat("first", CLAIMED_MS + 1, 0);
  expect(await recover()).toMatchObject({ isBlamed: true, count: "1" });
});

test("blames no file while the worker lives that lost its lock", async ({ redis, prefix }) => {
  await using chunk = setUp(redis, prefix);
  const { recover, beat } = chunk;
  await beat("first", CLAIMED_MS - 1, 1_000);
  const { isBlamed, count, next } = await recover();
  expect({ isBlamed, count }).toEqual({ isBlamed: false, count: null });
  expect((await next.read()).intents.get(0)).toEqual({ p: "a", t: "", n: 0 });
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
  expect(parseToken(lockToken("a:b:1", 42, 7))).toEqual({ workerId: "a:b:1", claimedAtMs: 42 });
  expect(parseToken("")).toEqual({ workerId: "", claimedAtMs: 0 });
});
