/** The directory of queues, by which workers know what to serve. */
import { expect, onTestFinished, test } from "vitest";
import { JobQueues, placeOf } from "../../../src/platform/job-queues.ts";
import { closeRedis, openRedis } from "../../../src/platform/redis.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
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
