/** A primary behind Sentinels: how it is found, what is said of its replicas, and how calls outlive a failover. */
import { describe, expect, onTestFinished, test } from "vitest";
import type { Redis } from "ioredis";
import { UnsafeRedisError } from "../../../src/contract/errors.ts";
import { checkRedis } from "../../../src/platform/redis-check.ts";
import { closeRedis, openRedis } from "../../../src/platform/redis.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { SentinelGroup } from "../../support/redis-sentinel.ts";

function connect(url: string, role: "command" | "blocking" = "command"): Redis {
  const redis = openRedis(url, role, quietLogger);
  onTestFinished(() => closeRedis(redis));
  return redis;
}

describe("a primary behind Sentinels", () => {
  test("is found, and is safe when its replicas follow and it asks for one", async () => {
    await using group = await SentinelGroup.start({ args: ["--min-replicas-to-write", "1"] });
    const facts = await checkRedis(connect(group.url), { durability: "appendonly" });
    expect(facts.replication).toMatchObject({ minReplicasToWrite: 1, syncDelaySeconds: 0 });
    expect(facts.replication.replicas).toMatchObject([{ state: "online" }]);
    expect(facts.warnings).toEqual([]);
  });

  test("is refused where jobs must be kept and a failover would lose them, told of where not", async () => {
    await using group = await SentinelGroup.start();
    const redis = connect(group.url);
    const { warnings } = await checkRedis(redis);
    expect(warnings).toEqual([expect.stringContaining("CONFIG SET min-replicas-to-write 1")]);
    const error: unknown = await checkRedis(redis, { durability: "appendonly" }).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(UnsafeRedisError);
    expect(String(error)).toContain("redis must have min-replicas-to-write 1 or more, found 0");
  });

  test("a replica named by its own address is refused, with the primary's", async () => {
    await using group = await SentinelGroup.start();
    const [primary, replica] = group.nodes;
    const redis = connect(`redis://127.0.0.1:${replica?.port ?? 0}`);
    const error: unknown = await checkRedis(redis).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(UnsafeRedisError);
    expect((error as UnsafeRedisError).fix).toContain(`redis://127.0.0.1:${primary?.port ?? 0}`);
  });

  test("calls and blocking reads go on at the new primary, with what was acknowledged", async () => {
    await using group = await SentinelGroup.start();
    const [redis, reader] = [connect(group.url), connect(group.url, "blocking")];
    await redis.set("kept", "1");
    // The replica has it: what the failover may lose is what comes after.
    expect(await redis.wait(1, 5_000)).toBe(1);
    const popped = reader.blpop("list", 0);
    await group.failOver();
    await expect.poll(() => redis.rpush("list", "one").catch(() => 0), { timeout: 20_000 }).toBe(1);
    expect(await popped).toEqual(["list", "one"]);
    expect(await redis.get("kept")).toBe("1");
  });
});
