/** Redis cannot be reached, or takes nothing, under 3,000 jobs; then it does again. */
import { expect, test } from "vitest";
import { FaultCluster } from "../../support/fault-cluster.ts";
import { RedisLoad, ROUNDS, untilPassed } from "../../support/redis-load.ts";
import { startRedis } from "../../support/redis-server.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";

test("a network that is cut loses nothing, and nobody notices more than the wait", async () => {
  const server = await startRedis({ args: ["--appendonly", "yes"] });
  await using proxy = await TcpProxy.before(server.socket);
  await using cluster = await FaultCluster.open({ server, redisUrl: proxy.url });
  const load = await RedisLoad.start(cluster);
  for (let round = 0; round < ROUNDS; round += 1) {
    const backMs = await load.rideOut({
      begin: () => {
        proxy.cut();
        return Promise.resolve();
      },
      end: async () => {
        await untilPassed();
        proxy.heal();
      },
    });
    expect(backMs).toBeLessThan(15_000);
  }
  // Locks run out where the cut is longer than they are held: what ran then is done again.
  await load.expectWhole({ mayRepeat: 50 * ROUNDS });
});

test("a primary that becomes a replica, and takes no write, loses nothing", async () => {
  await using cluster = await FaultCluster.open();
  const load = await RedisLoad.start(cluster);
  for (let round = 0; round < ROUNDS; round += 1) {
    const backMs = await load.rideOut({
      begin: async () => {
        await cluster.keys.replicaof("127.0.0.1", 1);
      },
      end: async () => {
        await untilPassed();
        await cluster.keys.replicaof("NO", "ONE");
      },
    });
    expect(backMs).toBeLessThan(15_000);
  }
  await load.expectWhole({ mayRepeat: 50 * ROUNDS });
});

test("a Redis whose memory is full lets running jobs end, loses nothing, and is told of in few lines", async () => {
  await using cluster = await FaultCluster.open();
  const load = await RedisLoad.start(cluster);
  for (let round = 0; round < ROUNDS; round += 1) {
    const before = load.errorLines();
    const backMs = await load.rideOut({
      begin: async () => {
        await cluster.keys.config("SET", "maxmemory", "1mb");
      },
      end: async () => {
        await untilPassed();
        await cluster.keys.config("SET", "maxmemory", "0");
      },
    });
    expect(backMs).toBeLessThan(15_000);
    expect(load.errorLines() - before).toBeLessThan(100);
  }
  await load.expectWhole();
});
