import { rmSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { join } from "node:path";
import type { Redis } from "ioredis";
import { describe, expect, onTestFinished } from "vitest";
import { UnsafeRedisError } from "../../../src/contract/errors.ts";
import { unixTarget } from "../../../src/platform/redis-target.ts";
import { checkRedis, memoryFill } from "../../../src/platform/redis-check.ts";
import { closeRedis, openRedis } from "../../../src/platform/redis.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { startRedis, type RedisServer } from "../../support/redis-server.ts";
import { test } from "../../support/redis.ts";
import { makeTempFolder } from "../../support/temp-folder.ts";

function connect(server: RedisServer): Redis {
  const redis = openRedis(server.url, "command", quietLogger);
  onTestFinished(() => closeRedis(redis));
  return redis;
}

/** The same server behind a socket that changes one digit of what it says: its major version becomes 5. */
async function pretendOld(server: RedisServer): Promise<string> {
  const socket = join(server.folder, "old.sock");
  const proxy = createServer((client) => {
    const upstream = createConnection(server.socket);
    client.pipe(upstream);
    upstream.on("data", (bytes) => {
      client.write(Buffer.from(bytes.toString("latin1").replace(/redis_version:\d/, "redis_version:5"), "latin1"));
    });
    client.on("close", () => upstream.destroy());
    client.on("error", () => upstream.destroy());
    upstream.on("close", () => client.destroy());
    upstream.on("error", () => client.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(socket, resolve));
  onTestFinished(
    () =>
      new Promise<void>((resolve) =>
        proxy.close(() => {
          resolve();
        }),
      ),
  );
  return socket;
}

async function refusal(redis: Redis): Promise<UnsafeRedisError> {
  const error: unknown = await checkRedis(redis).catch((caught: unknown) => caught);
  if (!(error instanceof UnsafeRedisError)) throw new Error("expected an UnsafeRedisError", { cause: error });
  return error;
}

describe("checkRedis", () => {
  test("tells the facts of a safe server", async () => {
    await using server = await startRedis({ args: ["--appendonly", "yes", "--maxmemory", "64mb"] });
    const facts = await checkRedis(connect(server));
    expect(facts).toMatchObject({
      pid: server.pid,
      replication: { replicas: [] },
      maxMemoryPolicy: "noeviction",
      maxMemoryBytes: 64 * 1024 * 1024,
      hasAppendOnlyFile: true,
      hasSnapshots: false,
      warnings: [],
    });
    expect(facts.runId).toMatch(/^[0-9a-f]{40}$/);
  });

  test("refuses a server that evicts, with the command that mends it", async () => {
    await using server = await startRedis({ args: ["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"] });
    const redis = connect(server);
    const error = await refusal(redis);
    expect(error.message).toContain("redis must have maxmemory-policy noeviction, found allkeys-lru");
    expect(error.fix).toContain(`redis-cli -s ${server.socket} CONFIG SET maxmemory-policy noeviction`);
    await redis.config("SET", "maxmemory-policy", "noeviction");
    expect((await checkRedis(redis)).maxMemoryPolicy).toBe("noeviction");
  });

  test("warns of an evicting policy that has no limit to act on, of no limit, and of no persistence", async () => {
    await using server = await startRedis({ args: ["--maxmemory-policy", "volatile-lru"] });
    const { warnings } = await checkRedis(connect(server));
    expect(warnings).toHaveLength(3);
    expect(warnings[0]).toContain("CONFIG SET appendonly yes");
    expect(warnings[1]).toContain("maxmemory-policy is volatile-lru");
    expect(warnings[2]).toContain("CONFIG SET maxmemory 512mb");
  });

  test("warns of a missing memory limit, with the command that mends it", async () => {
    await using server = await startRedis({ args: ["--appendonly", "yes", "--maxmemory-policy", "noeviction"] });
    const redis = connect(server);
    const fix = `redis-cli -s ${server.socket} CONFIG SET maxmemory 512mb`;
    expect((await checkRedis(redis)).warnings).toEqual([
      `expected a maxmemory, near which the intake refuses new runs, found none; ${fix}, and the same line in its redis.conf`,
    ]);
    await redis.config("SET", "maxmemory", "512mb");
    expect((await checkRedis(redis)).warnings).toEqual([]);
  });

  test("warns of a memory that fills up, and says how full it is", async () => {
    await using server = await startRedis({ args: ["--appendonly", "yes", "--maxmemory", "20mb"] });
    const redis = connect(server);
    const filler = Buffer.alloc(256 * 1024);
    for (let key = 0; ((await memoryFill(redis)) ?? 1) < 0.75; key += 1) await redis.set(`filler:${key}`, filler);
    expect((await checkRedis(redis)).warnings).toEqual([expect.stringMatching(/memory is \d\d % full/)]);
  });

  test("does not know the fill of a server without a limit", async ({ redis }) => {
    expect(await memoryFill(redis)).toBeNull();
  });

  test("refuses a server whose snapshots fail", async () => {
    using temp = makeTempFolder();
    await using server = await startRedis({ args: ["--dir", temp.path] });
    const redis = connect(server);
    // Not even root writes into a folder that is gone.
    rmSync(temp.path, { recursive: true });
    await redis.bgsave();
    await expect.poll(() => redis.info("persistence")).toContain("rdb_last_bgsave_status:err");
    const error = await refusal(redis);
    expect(error.message).toContain("rdb_last_bgsave_status:err");
    expect(error.fix).toContain(`redis-cli -s ${server.socket} BGSAVE`);
  });

  test("goes without CONFIG where access rules refuse it", async () => {
    await using server = await startRedis({ args: ["--maxmemory", "64mb", "--appendonly", "yes"] });
    const operator = connect(server);
    await operator.call("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", "-config");
    const redis = openRedis(server.url.replace("unix://", "unix://app:pw@"), "command", quietLogger);
    onTestFinished(() => closeRedis(redis));
    const facts = await checkRedis(redis);
    expect(facts.hasSnapshots).toBeUndefined();
    expect(facts.maxMemoryPolicy).toBe("noeviction");
  });

  test("fails within a bounded time when the server is down", async () => {
    const redis = openRedis("redis://127.0.0.1:1", "command", quietLogger);
    onTestFinished(() => closeRedis(redis));
    await expect(checkRedis(redis)).rejects.toThrow(/expected redis to answer at redis:\/\/127.0.0.1:1\/0, found none/);
  });

  test("refuses a server that is too old, with the command that mends it", async () => {
    await using server = await startRedis();
    const redis = openRedis(unixTarget(await pretendOld(server)), "command", quietLogger);
    onTestFinished(() => closeRedis(redis));
    const error = await refusal(redis);
    expect(error.message).toMatch(/redis must have version 6\.2 or newer, found 5\.\d/);
    expect(error.fix).toContain("apt-get install redis-server");
  });
});
