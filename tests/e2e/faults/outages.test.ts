/** Redis and the store fail for a while in the middle of a run: nothing is lost, nothing is given up. */
import { DatabaseSync } from "@photostructure/sqlite";
import { expect, test } from "vitest";
import { FaultCluster, PATIENT } from "../../support/fault-cluster.ts";
import { startPostgres } from "../../support/postgres.ts";
import { startRedis } from "../../support/redis-server.ts";
import { Cli } from "../cli/cli-process.ts";

test("a locked SQLite file only delays the results", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(120);
  const worker = await cluster.worker();
  const runId = await cluster.run(cluster.spec());
  await expect.poll(() => cluster.outputs().length, PATIENT).toBeGreaterThan(20);
  const other = new DatabaseSync(cluster.storeUrl.replace("sqlite:", ""));
  other.exec("begin immediate");
  try {
    await worker.line("store does not take results");
  } finally {
    other.exec("rollback");
    other.close();
  }
  const status = await cluster.ended(runId);
  expect(status.report?.failures).toEqual([]);
  expect(status.state).toBe("succeeded");
  await cluster.expectWhole(runId);
});

test("a Redis that is killed while the input is scanned, and while the report is made, only delays the run", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(300);
  const worker = await cluster.worker();
  const runId = await cluster.run(cluster.spec("sleep 0.01", { chunk: { maxFiles: 2 } }));
  await worker.line("claimed scan");
  await cluster.redis.kill();
  await cluster.redis.restart();
  await expect.poll(() => cluster.outputs().length, PATIENT).toBeGreaterThan(100);
  expect((await cluster.client.status(runId)).progress.isScanned).toBe(false);
  await cluster.redis.kill();
  await cluster.redis.restart();
  await worker.line("claimed report");
  await cluster.redis.kill();
  await cluster.redis.restart();
  expect((await cluster.ended(runId)).state).toBe("succeeded");
  await cluster.expectWhole(runId);
  expect([...cluster.ends().values()].every((ends) => ends === 1)).toBe(true);
});

test("a PostgreSQL that stops and starts again only delays the results, kills of workers among it", async () => {
  await using postgres = await startPostgres();
  await using cluster = await FaultCluster.open({ store: await postgres.createDatabase() });
  cluster.files(200);
  await cluster.scheduler();
  const [first, second] = [await cluster.worker(), await cluster.worker()];
  const runId = await cluster.run(cluster.spec());
  await expect.poll(() => cluster.outputs().length, PATIENT).toBeGreaterThan(30);
  await postgres.stop();
  await first.line("store does not take results");
  second.child.kill("SIGKILL");
  await second.ended();
  await postgres.start();
  await cluster.worker();
  await expect.poll(() => cluster.outputs().length, PATIENT).toBeGreaterThan(100);
  first.child.kill("SIGKILL");
  await first.ended();
  const status = await cluster.ended(runId);
  expect(status.report?.failures).toEqual([]);
  expect(status.state).toBe("succeeded");
  await cluster.expectWhole(runId);
});

test("a Redis without memory only delays the run", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(300);
  await cluster.scheduler();
  const worker = await cluster.worker();
  const runId = await cluster.run(cluster.spec("sleep 0.01", { chunk: { maxFiles: 2 } }));
  for (const mark of [10, 60, 110]) {
    await expect.poll(() => cluster.outputs().length, PATIENT).toBeGreaterThan(mark);
    const seen = worker.output().split("OOM command not allowed").length;
    await cluster.onServer((server) => server.config("SET", "maxmemory", "1mb"));
    await expect.poll(() => worker.output().split("OOM command not allowed").length, PATIENT).toBeGreaterThan(seen);
    await cluster.onServer((server) => server.config("SET", "maxmemory", "0"));
  }
  const status = await cluster.ended(runId);
  expect(status.report?.failures).toEqual([]);
  expect(status.state).toBe("succeeded");
  await cluster.expectWhole(runId);
});

test("a worker refuses a Redis that evicts jobs, and names the command that mends it", async () => {
  await using redis = await startRedis({ args: ["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"] });
  await using cli = new Cli();
  const { code, stderr } = await cli.call(["worker", "--redis", redis.url]);
  expect(code, stderr).toBe(3);
  expect(stderr).toContain("redis must have maxmemory-policy noeviction");
  expect(stderr).toContain("CONFIG SET maxmemory-policy noeviction");
});
