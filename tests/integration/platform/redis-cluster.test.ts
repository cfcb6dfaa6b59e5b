/** A Redis Cluster: all keys of a deployment on the node that has their slot, found again when that moves. */
import { Queue } from "bullmq";
import type { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { UnsafeRedisError } from "../../../src/contract/errors.ts";
import { keyPrefix } from "../../../src/contract/queues.ts";
import { checkRedis } from "../../../src/platform/redis-check.ts";
import { targetOfPrefix } from "../../../src/platform/redis-target.ts";
import { closeRedis, openRedis } from "../../../src/platform/redis.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { RedisCluster } from "../../support/redis-cluster.ts";

function connect(url: string, role: "command" | "blocking" | "subscriber" = "command"): Redis {
  const redis = openRedis(url, role, quietLogger);
  onTestFinished(() => closeRedis(redis));
  return redis;
}

describe("a Redis Cluster", () => {
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await RedisCluster.start();
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  test.each(["alpha", "beta", "gamma", "delta"])(
    "has all keys of prefix %s where the connection goes",
    async (name) => {
      const redis = connect(targetOfPrefix(cluster.url, name));
      expect((await checkRedis(redis)).isCluster).toBe(true);
      const queue = new Queue("exec", { connection: redis, prefix: keyPrefix(name) });
      await queue.add("job", {});
      expect(await queue.getWaitingCount()).toBe(1);
      await queue.close();
      const { port } = await cluster.ownerOf(keyPrefix(name));
      expect(await redis.config("GET", "port")).toEqual(["port", String(port)]);
      expect((await redis.keys("*")).filter((key) => key.startsWith(keyPrefix(name)))).not.toEqual([]);
    },
  );

  test("tells messages to listeners on any connection", async () => {
    const url = targetOfPrefix(cluster.url, "messages");
    const [redis, subscriber] = [connect(url), connect(url, "subscriber")];
    const heard: string[] = [];
    subscriber.on("message", (_channel, text) => heard.push(text));
    await subscriber.subscribe("{messages}:control");
    await redis.publish("{messages}:control", "hello");
    await expect.poll(() => heard).toEqual(["hello"]);
  });

  test("is followed when the slot moves to another node", async () => {
    const url = targetOfPrefix(cluster.url, "moving");
    const redis = connect(url);
    await redis.ping();
    const { port } = await cluster.moveSlot(keyPrefix("moving"));
    expect(await redis.set(`${keyPrefix("moving")}:key`, "value")).toBe("OK");
    expect(await redis.config("GET", "port")).toEqual(["port", String(port)]);
  });

  test("is found though the node that was named first is gone", async () => {
    const redis = connect(targetOfPrefix(cluster.url.replace("//", "//127.0.0.1:1,"), "beta"));
    expect(await redis.get(`${keyPrefix("beta")}:none`)).toBeNull();
  });

  test("is refused where one server was named, and one server where a cluster was", async () => {
    const [node] = cluster.nodes;
    const plain: unknown = await checkRedis(connect(`redis://127.0.0.1:${node?.port ?? 0}`)).catch((e: unknown) => e);
    expect(plain).toBeInstanceOf(UnsafeRedisError);
    expect((plain as UnsafeRedisError).fix).toContain(`redis+cluster://127.0.0.1:${node?.port ?? 0}`);
  });

  test("that has no node left fails within a bounded time, with every node that was asked", async () => {
    const redis = connect("redis+cluster://127.0.0.1:1,127.0.0.1:2");
    await expect(redis.ping()).rejects.toThrow(/127.0.0.1:1: .*ECONNREFUSED.*127.0.0.1:2: .*ECONNREFUSED/);
  });
});
