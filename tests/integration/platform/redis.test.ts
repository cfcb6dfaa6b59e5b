import { inspect } from "node:util";
import { Queue } from "bullmq";
import { describe, expect, onTestFinished, vi } from "vitest";
import { InfrastructureError } from "../../../src/contract/errors.ts";
import { keyPrefix } from "../../../src/contract/queues.ts";
import { closeRedis, COMMAND_TIMEOUT_MS, openRedis } from "../../../src/platform/redis.ts";
import { keepingLogger, quietLogger } from "../../support/quiet-logger.ts";
import { startRedis } from "../../support/redis-server.ts";
import { deletePrefix, test } from "../../support/redis.ts";

const nowhere = "unix:///nonexistent/redis.sock";

function opened(...args: Parameters<typeof openRedis>): ReturnType<typeof openRedis> {
  const redis = openRedis(...args);
  onTestFinished(() => closeRedis(redis));
  return redis;
}

describe("openRedis", () => {
  test("connects with the first command, under a name that says its role", async ({ redisUrl }) => {
    const redis = openRedis(redisUrl, "blocking", quietLogger);
    expect(redis.status).toBe("wait");
    expect(await redis.client("GETNAME")).toBe(`headroom-blocking-${process.pid}`);
    await closeRedis(redis);
    await closeRedis(redis);
    expect(redis.status).toBe("end");
  });

  test("refuses a database that the server does not have, in place of taking the first one", async () => {
    await using server = await startRedis({ args: ["--databases", "4"] });
    const target = (db: number) => `${server.url}?db=${db}`;
    const inside = opened(target(3), "command", quietLogger);
    await inside.set("where", "3");
    const outside = opened(target(4), "command", quietLogger);
    const copy = outside.duplicate();
    onTestFinished(() => closeRedis(copy));
    copy.on("error", () => undefined);
    const calls = [outside.ping(), outside.multi().set("where", "4").exec(), copy.set("where", "4"), outside.ping()];
    for (const call of await Promise.allSettled(calls)) {
      expect(String(call.status === "rejected" ? call.reason : call.value)).toMatch(
        /expected redis at .*4 to have the database that it names, found: ERR DB index is out of range/,
      );
    }
    const first = opened(server.url, "command", quietLogger);
    expect([await inside.get("where"), await first.get("where")]).toEqual(["3", null]);
  });

  test("carries BullMQ's queues", async ({ redis, prefix }) => {
    const queue = new Queue("q", { connection: redis, prefix: keyPrefix(prefix) });
    await queue.add("job", {});
    expect(await queue.getWaitingCount()).toBe(1);
    await queue.close();
    await deletePrefix(redis, prefix);
  });

  test("fails a command within a bounded time when redis is down, and says where it looked", async () => {
    const redis = opened(nowhere, "command", quietLogger);
    const startedMs = performance.now();
    const error: unknown = await redis.ping().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(InfrastructureError);
    expect(String(error)).toContain(
      "expected redis to answer at unix:///nonexistent/redis.sock, found none in several tries: connect ENOENT",
    );
    expect(performance.now() - startedMs).toBeLessThan(COMMAND_TIMEOUT_MS + 1_000);
  });

  test("says the same on a connection that was made from it", async () => {
    const copy = opened(nowhere, "command", quietLogger).duplicate({ maxRetriesPerRequest: 1 });
    onTestFinished(() => closeRedis(copy));
    copy.on("error", () => undefined);
    const error: unknown = await copy.ping().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(InfrastructureError);
    expect((error as Error).message).toContain(`expected redis to answer at ${nowhere}`);
  });

  test("says the same of a transaction and of each command of a pipeline", async () => {
    const redis = opened(nowhere, "command", quietLogger);
    const [transaction, rows] = await Promise.all([
      redis
        .multi()
        .set("a", "b")
        .exec()
        .catch((caught: unknown) => caught),
      redis.pipeline().get("a").exec(),
    ]);
    for (const error of [transaction, rows?.[0]?.[0]]) {
      expect(error).toBeInstanceOf(InfrastructureError);
      expect(String(error)).toContain("expected redis to answer at unix:///nonexistent/redis.sock, found none");
    }
  });

  test("fails BullMQ's add within a bounded time when redis is down", async () => {
    const redis = opened(nowhere, "command", quietLogger);
    const queue = new Queue("q", { connection: redis, prefix: keyPrefix("down"), skipVersionCheck: true });
    queue.on("error", () => undefined); // said by the rejection below
    await expect(queue.add("job", {})).rejects.toThrow(/Connection is closed|redis to answer|ENOENT/);
    await queue.close();
  });

  test("fails a command that a hung server does not answer", async () => {
    await using server = await startRedis();
    const redis = opened(server.url, "command", quietLogger);
    await redis.ping();
    process.kill(server.pid, "SIGSTOP");
    try {
      await expect(redis.ping()).rejects.toThrow(/expected redis to answer at .*, found no answer within 10 s/);
    } finally {
      process.kill(server.pid, "SIGCONT");
    }
  });

  test("lets a blocking reader wait until redis is back", async () => {
    await using server = await startRedis({ args: ["--appendonly", "yes"] });
    const reader = opened(server.url, "blocking", quietLogger);
    await reader.ping();
    await server.kill();
    const answer = reader.blpop("list", 0);
    await server.restart();
    const writer = opened(server.url, "command", quietLogger);
    await writer.rpush("list", "one");
    expect(await answer).toEqual(["list", "one"]);
  });

  test("does not lose a command that runs while redis restarts", async () => {
    await using server = await startRedis();
    const redis = opened(server.url, "command", quietLogger);
    await redis.ping();
    await server.kill();
    const answer = redis.ping();
    await server.restart();
    expect(await answer).toBe("PONG");
  });

  test("connects anew and sends again when it finds a read-only replica", async () => {
    await using server = await startRedis();
    const redis = opened(server.url, "command", quietLogger);
    const operator = opened(server.url, "command", quietLogger);
    await redis.ping();
    await operator.replicaof("127.0.0.1", 1);
    let closes = 0;
    redis.on("close", () => (closes += 1));
    const answer = redis.set("key", "value");
    await vi.waitFor(() => {
      expect(closes).toBeGreaterThan(0);
    });
    await operator.replicaof("NO", "ONE");
    expect(await answer).toBe("OK");
  });

  test("logs an outage in few lines, and its end", async () => {
    await using server = await startRedis({ password: "hunter2" });
    const { logger, lines } = keepingLogger();
    const redis = opened(server.url, "blocking", logger);
    await redis.ping();
    await server.kill();
    let attempts = 0;
    redis.on("reconnecting", () => (attempts += 1));
    await expect.poll(() => attempts, { timeout: 20_000 }).toBeGreaterThan(4);
    await server.restart();
    expect(await redis.ping()).toBe("PONG");
    const texts = lines().map(({ msg }) => msg);
    expect(texts.filter((text) => text === "redis connection failed")).toHaveLength(1);
    expect(texts.filter((text) => text === "redis connection is back")).toHaveLength(1);
    expect(JSON.stringify(lines())).not.toContain("hunter2");
  });

  test("says that a password is wrong, without the password", async () => {
    await using server = await startRedis({ password: "right" });
    const { logger, lines } = keepingLogger();
    const redis = opened(server.url.replace(":right@", ":hunter2@"), "command", logger);
    const error: unknown = await redis.ping().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(InfrastructureError);
    expect(inspect(error, { depth: 9 })).toContain("to accept the user and password, found: WRONGPASS");
    expect(inspect(error, { depth: 9 })).not.toContain("hunter2");
    expect(JSON.stringify(lines())).toContain("WRONGPASS");
    expect(JSON.stringify(lines())).not.toContain("hunter2");
  });
});
