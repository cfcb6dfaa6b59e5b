/** Redis near its memory limit: new runs are refused with the time to come back, and what runs goes on to its end. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Metrics } from "../../../src/platform/metrics.ts";
import { createProducer } from "../../../src/producer/main.ts";
import { producerDefaults } from "../../../src/producer/config.ts";
import { problem } from "../../../src/producer/responses.ts";
import { FaultCluster, kp, PATIENT } from "../../support/fault-cluster.ts";
import { quietLogger } from "../../support/quiet-logger.ts";

const BALLAST_BYTES = 1024 * 1024;

test("the intake answers 429 while Redis is nearly full, a running job ends, and new runs come in again", async () => {
  const redisArgs = ["--maxmemory", "48mb", "--maxmemory-policy", "noeviction"];
  await using cluster = await FaultCluster.open({ redisArgs });
  cluster.files(2);
  const metrics = new Metrics({ version: "0", process: "producer" }, quietLogger);
  const { client, store, keys: redis } = cluster;
  const intake = createProducer(
    { client, store, redis, logger: quietLogger, metrics },
    { ...producerDefaults, port: 0, prefix: kp },
  );
  await intake.start();
  const post = (output: string) =>
    fetch(`${intake.url}/v1/runs`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ command: ["/usr/bin/cat", "{input}"], input: cluster.input, output }),
    });
  try {
    await cluster.scheduler();
    await cluster.worker();
    const go = join(cluster.scratch.path, "go");
    const runId = await cluster.run(cluster.spec(`while [ ! -e ${go} ]; do sleep 0.02; done`));
    await expect.poll(async () => (await client.status(runId)).progress.runningJobs, PATIENT).toBeGreaterThan(0);

    const fill = async () => (await client.backlog()).memoryFill ?? 0;
    for (let count = 0; (await fill()) < 0.88; count += 1)
      await redis.set(`ballast:${count}`, "x".repeat(BALLAST_BYTES));
    const before = await store.runs.list({ limit: 10 });
    const refused = await post(join(cluster.scratch.path, "more"));
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "60"]);
    expect(refused.headers.get("content-type")).toBe("application/problem+json; charset=utf-8");
    const { code, detail } = problem.parse(await refused.json());
    expect(code).toBe("ERR_BACKLOG_FULL");
    expect(detail).toMatch(/redis uses \d+ % of its memory, expected less than 80 %; try again in 60 s/);
    expect(await metrics.expose()).toContain('headroom_intake_refused_total{reason="redis-memory"} 1');
    expect(await store.runs.list({ limit: 10 })).toEqual(before);

    writeFileSync(go, "");
    expect(await cluster.ended(runId)).toMatchObject({ state: "succeeded", counts: { succeeded: 2 } });
    expect(await fill()).toBeGreaterThan(0.8);
    await cluster.expectWhole(runId);

    await redis.unlink(...(await redis.keys("ballast:*")));
    await expect.poll(fill, PATIENT).toBeLessThan(0.8);
    expect((await post(join(cluster.scratch.path, "more"))).status).toBe(201);
  } finally {
    await intake.stop();
  }
}, 120_000);
