/** A Redis with an append-only file is killed under 3,000 jobs, and started again over what it wrote. */
import { expect, test } from "vitest";
import { FaultCluster } from "../../support/fault-cluster.ts";
import { OF_ALL_ROUNDS, RedisLoad, ROUNDS } from "../../support/redis-load.ts";

test("a Redis that is killed loses nothing that it acknowledged", OF_ALL_ROUNDS, async () => {
  await using cluster = await FaultCluster.open();
  const load = await RedisLoad.start(cluster);
  for (let round = 0; round < ROUNDS; round += 1) {
    const backMs = await load.rideOut({ begin: () => cluster.redis.kill(), end: () => cluster.redis.restart() });
    expect(backMs).toBeLessThan(15_000);
  }
  await load.expectWhole();
});
