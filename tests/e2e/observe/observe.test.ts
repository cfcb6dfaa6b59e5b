/** Metrics, alerts and dashboards over one live cluster, a real Prometheus and a real Alertmanager. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { closeRedis, openRedis } from "../../../src/platform/redis.ts";
import { Monitoring } from "../../support/monitoring.ts";
import { ObservedCluster } from "../../support/observed-cluster.ts";
import { quietLogger } from "../../support/quiet-logger.ts";

const PATIENT = { timeout: 60_000, interval: 100 };

let cluster: ObservedCluster;
let monitoring: Monitoring;
/** What is to be closed, last first, however far the start came. */
const opened: AsyncDisposable[] = [];

beforeAll(async () => {
  opened.push((cluster = await ObservedCluster.start()));
  opened.push((monitoring = await Monitoring.start(cluster.targets)));
});

afterAll(async () => {
  for (const one of opened.toReversed()) await one[Symbol.asyncDispose]();
});

/** Waits until the webhook was told last that this alert fires, or is over. */
async function told(alert: string, status: "firing" | "resolved", labels: Readonly<Record<string, string>> = {}) {
  await expect.poll(() => monitoring.last(alert, labels)?.status, PATIENT).toBe(status);
}

describe("alerts", () => {
  test("tell of a queue that stands still, and that it moves again", async () => {
    cluster.cli.scratch.file("in/a.txt", "a");
    expect(await cluster.call(["limits", "set", "paused=true"])).toMatchObject({ code: 0 });
    const run = ["run", "-i", "in", "-o", "stuck", "--detach", "--", "cat", "{input}"];
    expect(await cluster.call(run)).toMatchObject({ code: 0 });
    await told("HeadroomStuck", "firing");
    expect(monitoring.last("HeadroomStuck")).toMatchObject({
      labels: { severity: "critical" },
      annotations: { summary: "Jobs wait and none runs", runbook_url: "/docs/runbooks/stuck-queue.md" },
    });
    expect(await cluster.call(["limits", "reset"])).toMatchObject({ code: 0 });
    await told("HeadroomStuck", "resolved");
  });

  test("tell of a Redis that is nearly full, and that it has room again", async () => {
    const redis = openRedis(cluster.redis.url, "command", quietLogger);
    try {
      const used = Number(/used_memory:(\d+)/.exec(await redis.info("memory"))?.[1]);
      await redis.config("SET", "maxmemory", String(Math.round(used * 1.1)));
      await told("HeadroomRedisMemoryFull", "firing");
      expect(monitoring.last("HeadroomRedisMemoryFull")?.annotations["summary"]).toMatch(
        /^Redis uses \d\d(\.\d+)?% of/,
      );
      await redis.config("SET", "maxmemory", "0");
      await told("HeadroomRedisMemoryFull", "resolved");
    } finally {
      await closeRedis(redis);
    }
  });

  test("tell of a worker that is silent, and that it is back", async () => {
    const instance = new URL(cluster.url("worker")).host;
    const { child } = cluster.process("worker");
    child.kill("SIGSTOP");
    await told("HeadroomProcessDown", "firing", { instance });
    child.kill("SIGCONT");
    await told("HeadroomProcessDown", "resolved", { instance });
  });
});
