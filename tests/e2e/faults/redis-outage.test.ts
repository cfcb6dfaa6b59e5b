/** Redis cannot be reached, or takes nothing, under 3,000 jobs; then it does again. */
import { expect, test } from "vitest";
import { FaultCluster, PREFIX } from "../../support/fault-cluster.ts";
import { startFaultRedis, suiteName } from "../../support/fault-redis.ts";
import { OF_ALL_ROUNDS, RedisLoad, ROUNDS, untilPassed } from "../../support/redis-load.ts";

test("a network that is cut loses nothing, and nobody notices more than the wait", OF_ALL_ROUNDS, async () => {
  const redis = await startFaultRedis({ prefix: PREFIX, isBehindProxy: true });
  await using cluster = await FaultCluster.open({ redis });
  const load = await RedisLoad.start(cluster);
  for (let round = 0; round < ROUNDS; round += 1) {
    const backMs = await load.rideOut({
      begin: () => {
        redis.cut();
        return Promise.resolve();
      },
      end: async () => {
        await untilPassed();
        redis.heal();
      },
    });
    expect(backMs).toBeLessThan(15_000);
  }
  // Locks run out where the cut is longer than they are held: what ran then is done again.
  await load.expectWhole({ mayRepeat: 50 * ROUNDS });
});

// A node of a cluster cannot be told to follow one that is none.
test.skipIf(suiteName === "cluster")("a primary that becomes a replica loses nothing", OF_ALL_ROUNDS, async () => {
  await using cluster = await FaultCluster.open();
  const load = await RedisLoad.start(cluster);
  for (let round = 0; round < ROUNDS; round += 1) {
    const backMs = await load.rideOut({
      begin: async () => {
        await cluster.onServer((server) => server.replicaof("127.0.0.1", 1));
      },
      end: async () => {
        await untilPassed();
        await cluster.onServer((server) => server.replicaof("NO", "ONE"));
      },
    });
    expect(backMs).toBeLessThan(15_000);
  }
  await load.expectWhole({ mayRepeat: 50 * ROUNDS });
});

test(
  "a Redis whose memory is full lets running jobs end, loses nothing, and is told of in few lines",
  OF_ALL_ROUNDS,
  async () => {
    await using cluster = await FaultCluster.open();
    const load = await RedisLoad.start(cluster);
    for (let round = 0; round < ROUNDS; round += 1) {
      const before = load.errorLines();
      const backMs = await load.rideOut({
        begin: async () => {
          await cluster.onServer((server) => server.config("SET", "maxmemory", "1mb"));
        },
        end: async () => {
          await untilPassed();
          await cluster.onServer((server) => server.config("SET", "maxmemory", "0"));
        },
      });
      expect(backMs).toBeLessThan(15_000);
      expect(load.errorLines() - before).toBeLessThan(100);
    }
    await load.expectWhole();
  },
);
