/** Sentinel puts a replica in the place of a primary that was killed under 3,000 jobs. */
import { beforeAll, describe, expect, test } from "vitest";
import type { Redis } from "ioredis";
import { closeRedis, openRedis } from "../../../src/platform/redis.ts";
import { FaultCluster, PATIENT } from "../../support/fault-cluster.ts";
import { faultRedisOf, suiteName, useSuiteServer } from "../../support/fault-redis.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { OF_ALL_ROUNDS, RedisLoad, ROUNDS } from "../../support/redis-load.ts";
import type { RedisServer } from "../../support/redis-server.ts";
import { SentinelGroup } from "../../support/redis-sentinel.ts";

async function on<T>(server: RedisServer, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = openRedis(server.url, "command", quietLogger);
  try {
    return await work(redis);
  } finally {
    await closeRedis(redis);
  }
}

async function open(group: SentinelGroup): Promise<FaultCluster> {
  const [primary] = group.nodes;
  if (primary === undefined) throw new Error("expected a primary");
  return FaultCluster.open({ redis: faultRedisOf(primary.server, group.url) });
}

beforeAll(useSuiteServer);

// Sentinel watches servers of no cluster; that it works with the shipped users is tested where those are.
describe.skipIf(suiteName === "cluster" || suiteName === "acl")("a failover", () => {
  test("to replicas in sync loses nothing that they had", OF_ALL_ROUNDS, async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      await using group = await SentinelGroup.start({ replicas: 2 });
      await using cluster = await open(group);
      const load = await RedisLoad.start(cluster);
      const { server } = await group.primary();
      const backMs = await load.rideOut({
        begin: async () => {
          await untilCopied(server, 2);
          await server.kill();
        },
        end: () => group.untilLed(server),
      });
      expect(backMs).toBeLessThan(15_000);
      // Replication is asynchronous: what workers were told between the two may be forgotten, and is done again.
      await load.expectWhole({ mayRepeat: 50 });
    }
  });

  test(
    "to a replica without any data loses no run: the store has them all, and they are added again",
    OF_ALL_ROUNDS,
    async () => {
      for (let round = 0; round < ROUNDS; round += 1) {
        await using group = await SentinelGroup.start({ replicas: 1 });
        await using cluster = await open(group);
        const load = await RedisLoad.start(cluster);
        const { server, port } = await group.primary();
        const backMs = await load.rideOut({
          begin: async () => {
            await emptyReplicas(group, server, port);
            await server.kill();
          },
          end: () => group.untilLed(server),
        });
        expect(backMs).toBeLessThan(15_000);
        await load.expectWhole({ mayRepeat: 300 });
      }
    },
  );
});

/** Resolves when so many replicas have everything that was written before. */
async function untilCopied(primary: RedisServer, replicas: number): Promise<void> {
  await on(primary, async (redis) => {
    await redis.set("headroom-tests:copied", "1");
    expect(await redis.wait(replicas, 30_000)).toBe(replicas);
  });
}

/** Replicas lose what they have, and wait for a copy that the primary does not send yet. */
async function emptyReplicas(group: SentinelGroup, primary: RedisServer, port: number): Promise<void> {
  await on(primary, (redis) => redis.config("SET", "repl-diskless-sync-delay", "600"));
  for (const { server } of group.nodes) {
    if (server === primary) continue;
    await on(server, async (redis) => {
      await redis.replicaof("NO", "ONE");
      await redis.flushall();
      await redis.replicaof("127.0.0.1", port);
      await expect.poll(() => redis.info("replication"), PATIENT).toMatch(/role:slave[\s\S]*master_link_status:down/);
      expect(await redis.dbsize()).toBe(0);
    });
  }
}
