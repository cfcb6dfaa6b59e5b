/** The directory of queues, by which workers know what to serve. */
import { expect, onTestFinished, test } from "vitest";
import { JobQueues, placeOf } from "../../../src/platform/job-queues.ts";
import { closeRedis, openRedis } from "../../../src/platform/redis.ts";
import { ExplainedCluster, files, ref } from "../../support/explained-cluster.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { test as redisTest } from "../../support/redis.ts";
import { startRedis } from "../../support/redis-server.ts";

test("a queue is announced again to a server that came back without its data", async () => {
  await using server = await startRedis({ args: ["--appendonly", "no"] });
  const redis = openRedis(server.url, "blocking", quietLogger);
  onTestFinished(() => closeRedis(redis));
  const queues = new JobQueues(redis, "{q}");
  const place = placeOf("exec", "default", { cpuCores: 1, labels: [] }, 1);
  await queues.announce(place);
  expect((await queues.list()).map(({ name }) => name)).toEqual([place.name]);
  await server.kill();
  await server.restart();
  expect(await queues.list()).toEqual([]);
  await queues.announce(place);
  expect((await queues.list()).map(({ name }) => name)).toEqual([place.name]);
  await queues.close();
});

redisTest("chunks are added one by one, until whoever adds them may not go on", async ({ redis, prefix }) => {
  await using cluster = new ExplainedCluster(redis, prefix);
  await cluster.queues.addRun(ref, cluster.spec, "scan");
  const chunks = ["1", "2", "3"].map((chunk) => ({ chunk, files }));
  const isOpen = async () => (await cluster.queues.openCount(ref)) - 1;
  const mayGoOn = async () => {
    if ((await isOpen()) === 2) throw new Error("lease lost");
  };
  await expect(cluster.queues.addChunks(ref, cluster.spec, chunks, mayGoOn)).rejects.toThrow("lease lost");
  expect(await isOpen()).toBe(2);
});
