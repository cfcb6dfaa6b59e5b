import { describe, expect, onTestFinished, test } from "vitest";
import { keyPrefix, keys } from "../../../src/contract/queues.ts";
import { ControlBus, type ControlMessage } from "../../../src/platform/control.ts";
import type { Logger } from "../../../src/platform/logger.ts";
import { closeRedis, openRedis } from "../../../src/platform/redis.ts";
import { keepingLogger, quietLogger } from "../../support/quiet-logger.ts";
import { startRedis } from "../../support/redis-server.ts";

async function openBus(url: string, prefix: string, logger: Logger = quietLogger) {
  const redis = openRedis(url, "command", quietLogger);
  const subscriber = openRedis(url, "subscriber", quietLogger);
  const bus = new ControlBus({ redis, subscriber, logger }, keyPrefix(prefix));
  onTestFinished(async () => {
    await bus.stop();
    await closeRedis(subscriber);
    await closeRedis(redis);
  });
  const heard: ControlMessage[] = [];
  const seen = { resubscribed: 0 };
  bus.listen({ onMessage: (message) => heard.push(message), onResubscribed: () => (seen.resubscribed += 1) });
  await bus.start();
  return { bus, redis, subscriber, heard, seen };
}

const messages: ControlMessage[] = [
  { kind: "cancel", runId: "r1" },
  { kind: "queue", name: "exec.default@14" },
  { kind: "wake" },
];

describe("control bus", () => {
  test("carries each kind of message to every listener of the cluster, in order", async () => {
    await using server = await startRedis();
    const a = await openBus(server.url, "one");
    const b = await openBus(server.url, "one");
    const other = await openBus(server.url, "two");
    for (const message of messages) await a.bus.publish(message);
    await expect.poll(() => [a.heard, b.heard]).toEqual([messages, messages]);
    expect(other.heard).toEqual([]);
  });

  test("ignores and logs what it does not know, and goes on", async () => {
    await using server = await startRedis();
    const { logger, lines } = keepingLogger();
    const { bus, redis, heard } = await openBus(server.url, "one", logger);
    await redis.publish(keys.control(keyPrefix("one")), "not json");
    await redis.publish(keys.control(keyPrefix("one")), '{"kind":"cancel"}');
    await bus.publish({ kind: "wake" });
    await expect.poll(() => heard).toEqual([{ kind: "wake" }]);
    expect(lines().filter(({ level }) => level === "warn")).toHaveLength(2);
  });

  test("keeps a message from no listener when another one throws", async () => {
    await using server = await startRedis();
    const { logger, lines } = keepingLogger();
    const { bus, heard } = await openBus(server.url, "one", logger);
    const remove = bus.listen({
      onMessage: () => {
        throw new Error("listener is broken");
      },
    });
    const late: ControlMessage[] = [];
    bus.listen({ onMessage: (message) => late.push(message) });
    await bus.publish({ kind: "wake" });
    await expect.poll(() => late).toEqual([{ kind: "wake" }]);
    expect(heard).toEqual([{ kind: "wake" }]);
    expect(lines()).toMatchObject([{ level: "error", err: { message: "listener is broken" } }]);
    remove();
    await bus.publish({ kind: "wake" });
    await expect.poll(() => late).toHaveLength(2);
    expect(lines()).toHaveLength(1);
  });

  test("hears again after a restart of redis, and says that messages may be lost", async () => {
    await using server = await startRedis();
    const { bus, heard, seen } = await openBus(server.url, "one");
    expect(seen.resubscribed).toBe(0);
    for (const times of [1, 2]) {
      await server.restart();
      await expect.poll(() => seen.resubscribed, { timeout: 15_000 }).toBe(times);
      await bus.publish({ kind: "cancel", runId: `r${times}` });
      await expect.poll(() => heard.length).toBe(times);
    }
  });

  test("hears nothing after its stop, which may be called twice", async () => {
    await using server = await startRedis();
    const { bus, redis, heard } = await openBus(server.url, "one");
    await bus.publish({ kind: "wake" });
    await expect.poll(() => heard).toHaveLength(1);
    await bus.stop();
    await bus.stop();
    expect(await redis.publish(keys.control(keyPrefix("one")), '{"kind":"wake"}')).toBe(0);
    expect(heard).toHaveLength(1);
  });
});
