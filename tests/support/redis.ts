/** The fixture of tests over a real Redis: `redis`, and a key prefix that no other test has. */
import { randomBytes } from "node:crypto";
import type { Redis } from "ioredis";
import { inject, test as base, vi } from "vitest";
import { keyPrefix } from "../../src/contract/queues.ts";
import { targetOfPrefix } from "../../src/platform/redis-target.ts";
import { closeRedis, openRedis } from "../../src/platform/redis.ts";
import { quietLogger } from "./quiet-logger.ts";

export interface RedisFixture {
  /** The URL of the shared server, for code that opens its own connections. */
  readonly redisUrl: string;
  readonly redis: Redis;
  /** A name of this test alone: keys go under `keyPrefix(prefix)`. */
  readonly prefix: string;
  /** The same, before anything is done with it. */
  readonly ownTag: string;
}

/** Fails a test that leaves keys of its prefix, or connections, behind. */
export const test = base.extend<RedisFixture>({
  ownTag: async ({}, use) => {
    await use(`t-${randomBytes(6).toString("hex")}`);
  },
  redisUrl: async ({ ownTag }, use) => {
    await use(targetOfPrefix(inject("redisUrl"), ownTag));
  },
  redis: async ({ redisUrl }, use) => {
    const redis = openRedis(redisUrl, "command", quietLogger);
    await redis.ping();
    const before = openSockets();
    await use(redis);
    try {
      await vi.waitFor(
        () => {
          const left = openSockets() - before;
          if (left > 0) throw new Error(`expected the test to close its connections, found ${left} still open`);
        },
        { timeout: 5_000, interval: 20 },
      );
    } finally {
      await closeRedis(redis);
    }
  },
  prefix: async ({ redis, ownTag: prefix }, use) => {
    await use(prefix);
    const left = await findKeys(redis, prefix);
    if (left.length === 0) return;
    await deletePrefix(redis, prefix);
    throw new Error(`expected the test to delete its keys, found ${left.length}: ${left.slice(0, 5).join(", ")}`);
  },
});

/** Deletes every key under a test's prefix: what a test calls when its keys are not the point. */
export async function deletePrefix(redis: Redis, prefix: string): Promise<void> {
  const left = await findKeys(redis, prefix);
  if (left.length > 0) await redis.unlink(...left);
}

async function findKeys(redis: Redis, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const page of redis.scanStream({ match: `${keyPrefix(prefix)}*`, count: 1_000 })) {
    found.push(...(page as string[]));
  }
  return found;
}

/** Connections over unix sockets that this process holds open. */
function openSockets(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === "PipeWrap").length;
}
