/** What a worker makes of a pass that does not come back: it ends itself only where no Redis could help. */
import type { Redis } from "ioredis";
import { describe, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../../src/platform/clock.ts";
import { closeRedis, openRedis } from "../../../src/platform/redis.ts";
import { pullLimits, PullWatch } from "../../../src/worker/pull-watch.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { startRedis, type RedisServer } from "../../support/redis-server.ts";

const PATIENT = { timeout: 30_000, interval: 50 };

function connect(server: RedisServer, role: "command" | "blocking"): Redis {
  const redis = openRedis(server.url, role, quietLogger);
  onTestFinished(() => closeRedis(redis));
  return redis;
}

/** Between two of its looks a watch takes a minute to have passed. */
function openWatch(redis: Redis): { watch: PullWatch; looks: () => number; ends: unknown[] } {
  let nowMs = 0;
  const ends: unknown[] = [];
  const watch = new PullWatch({
    ...{ redis, blocking: redis, logger: quietLogger, limits: pullLimits, kp: "{t}" },
    clock: { ...systemClock, monotonicMs: () => (nowMs += 60_000) },
    onReadHangs: () => undefined,
    onStuck: (error) => ends.push(error),
  });
  watch.start();
  onTestFinished(() => {
    watch.stop();
  });
  return { watch, looks: () => nowMs / 60_000, ends };
}

describe("a pass that does not come back", () => {
  test("is waited for while Redis answers and takes no write", async () => {
    await using server = await startRedis();
    const [keys, redis] = [connect(server, "command"), connect(server, "blocking")];
    await redis.set("{t}:key", "before");
    await keys.replicaof("127.0.0.1", 1);
    const { watch, looks, ends } = openWatch(redis);
    watch.passBegins();
    const claimed = redis.set("{t}:key", "after").then(() => {
      watch.passEnds(1);
    });
    expect(await keys.ping()).toBe("PONG");
    await expect.poll(looks, PATIENT).toBeGreaterThan(8);
    expect(ends).toEqual([]);
    await keys.replicaof("NO", "ONE");
    await claimed;
    expect(await keys.get("{t}:key")).toBe("after");
    expect(watch.isStuck).toBe(false);
  });

  test("ends the process where Redis takes writes behind it", async () => {
    await using server = await startRedis();
    const { watch, ends } = openWatch(connect(server, "blocking"));
    watch.passBegins();
    await expect.poll(() => watch.isStuck, PATIENT).toBe(true);
    expect(ends).toHaveLength(1);
    expect(await connect(server, "command").dbsize()).toBe(0);
  });
});
