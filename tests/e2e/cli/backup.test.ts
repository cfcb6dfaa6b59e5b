/** A backup that is taken while a cluster works, and a cluster that goes on from it after all was lost. */
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Redis } from "ioredis";
import { expect, test } from "vitest";
import { isCopied } from "../../../src/platform/redis-copy.ts";
import type { Store } from "../../../src/store/store.ts";
import { openStore } from "../../../src/store/open-store.ts";
import { FaultCluster, kp, PATIENT, PREFIX } from "../../support/fault-cluster.ts";
import { startPostgres } from "../../support/postgres.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { Cli } from "./cli-process.ts";

/** Everything that a person could look up, runs in the order of their start. */
async function contentsOf(store: Store) {
  const runs = await store.runs.list({ limit: 1_000 });
  const files = [];
  for (const { id, epoch } of runs) for await (const row of store.files.all(id, epoch)) files.push({ id, ...row });
  return { runs, files, schedules: await store.schedules.list(), learned: await store.learned.load() };
}

/** The values of all keys that a backup has; hashes and sets have no order. */
async function keysOf({ keys: redis }: FaultCluster): Promise<Record<string, unknown>> {
  const names = (await redis.keys(`${kp}:*`)).filter((key) => isCopied(kp, key)).sort();
  const values = await Promise.all(names.map((key) => valueOf(redis, key)));
  return Object.fromEntries(names.map((key, at) => [key, values[at]]));
}

async function valueOf(redis: Redis, key: string): Promise<unknown> {
  switch (await redis.type(key)) {
    case "hash":
      return redis.hgetall(key);
    case "set":
      return (await redis.smembers(key)).sort();
    case "zset":
      return redis.zrange(key, 0, "-1", "WITHSCORES");
    case "list":
      return redis.lrange(key, 0, -1);
    case "stream":
      return redis.xrange(key, "-", "+");
    default:
      return redis.get(key);
  }
}

async function drill(cluster: FaultCluster, emptyStore: string): Promise<void> {
  await using cli = new Cli();
  const place = (store: string) => ["--redis", cluster.redisUrl, "--store", store, "--prefix", PREFIX];
  cluster.files(8, "ended");
  const ended = await cluster.run(cluster.spec());
  const worker = await cluster.worker({ lockMs: 2_000 });
  await cluster.ended(ended);
  await cluster.client.schedules.create("nightly", { cron: "0 3 * * *", run: cluster.spec() as never });
  await cluster.client.schedules.change("nightly", { cron: "0 4 * * *" });

  const [half, waiting] = [cluster.scratch.folder("half"), cluster.scratch.folder("waiting")];
  const run = (output: string) => cluster.run(cluster.spec("sleep 0.05", { output: { root: output, from: "file" } }));
  cluster.files(40, "more");
  const interrupted = await run(half);
  await expect.poll(() => cluster.store.files.counts(interrupted, 0), PATIENT).toMatchObject({ succeeded: 20 });
  worker.child.kill("SIGKILL");
  await worker.ended();
  const queued = await run(waiting);

  const folder = join(cluster.scratch.path, "backup");
  const made = await cli.call(["backup", ...place(cluster.storeUrl), "--to", folder]);
  expect(made.code, made.stderr).toBe(0);
  const [before, keysBefore] = [await contentsOf(cluster.store), await keysOf(cluster)];
  expect(before.schedules).toMatchObject([{ name: "nightly", revision: 1 }]);
  expect(Object.keys(keysBefore).length).toBeGreaterThan(10);

  const refused = await cli.call(["restore", ...place(cluster.storeUrl), "--from", folder]);
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain(`expected no keys of ${kp} in redis, found some`);
  await cluster.keys.flushall();
  const filled = await cli.call(["restore", ...place(cluster.storeUrl), "--from", folder]);
  expect(filled.stderr).toContain("expected a store without runs and schedules to restore into, found some");

  const restored = await cli.call(["restore", ...place(emptyStore), "--from", folder]);
  expect(restored.code, restored.stderr).toBe(0);
  await using store = await openStore(emptyStore, quietLogger);
  expect(await contentsOf(store)).toEqual(before);
  expect(await keysOf(cluster)).toEqual(keysBefore);

  await cluster.scheduler({ store: emptyStore });
  await cluster.worker({ store: emptyStore });
  for (const id of [interrupted, queued]) {
    await expect
      .poll(async () => (await store.runs.get(id))?.state, { ...PATIENT, timeout: 120_000 })
      .toBe("succeeded");
    expect((await store.runs.get(id))?.counts).toMatchObject({ total: 48, succeeded: 48 });
  }
  // What has a row in the copy was not run again.
  const after = (await contentsOf(store)).files;
  const started = (file: (typeof after)[number]) => `${file.id} ${file.path} ${file.startedAtMs ?? ""}`;
  expect(after.map(started)).toEqual(expect.arrayContaining(before.files.map(started)));
}

test("a cluster over SQLite goes on from a backup after all was lost", async () => {
  await using cluster = await FaultCluster.open();
  await drill(cluster, `sqlite:${join(cluster.scratch.path, "restored.db")}`);
});

test("a cluster over PostgreSQL goes on from a backup after all was lost", async () => {
  await using postgres = await startPostgres();
  await using cluster = await FaultCluster.open({ store: await postgres.createDatabase() });
  await drill(cluster, await postgres.createDatabase());
});

test("a backup that was damaged, or is not whole, is refused before anything is written", async () => {
  await using cluster = await FaultCluster.open();
  await using cli = new Cli();
  cluster.files(2);
  await cluster.run(cluster.spec());
  const folder = join(cluster.scratch.path, "backup");
  const at = ["--redis", cluster.redisUrl, "--prefix", PREFIX];
  const made = await cli.call(["backup", ...at, "--store", cluster.storeUrl, "--to", folder]);
  expect(made.code, made.stderr).toBe(0);
  const again = await cli.call(["backup", ...at, "--store", cluster.storeUrl, "--to", folder]);
  expect(again.stderr).toContain(`expected an empty folder, found files in ${folder}`);
  await cluster.keys.flushall();
  const store = `sqlite:${join(cluster.scratch.path, "other.db")}`;
  const restore = () => cli.call(["restore", ...at, "--store", store, "--from", folder]);
  const prefix = await cli.call(["restore", "--redis", cluster.redisUrl, "--store", store, "--from", folder]);
  expect(prefix.stderr).toContain(`prefix: expected the backup's, ${PREFIX}, found headroom`);
  const page = join(folder, "backup.json");
  const text = readFileSync(page, "utf8");
  writeFileSync(page, text.replace(/"sha256": "[0-9a-f]{4}/, '"sha256": "0000'));
  expect((await restore()).stderr).toMatch(/redis\.jsonl: expected SHA-256 0000/);
  writeFileSync(page, text.slice(0, 40));
  expect((await restore()).stderr).toContain("backup.json: expected the page of a whole backup");
  writeFileSync(page, text);
  appendFileSync(join(folder, "store.db"), "x");
  expect((await restore()).stderr).toMatch(/store\.db: expected \d+ bytes, found \d+/);
  expect(await cluster.keys.dbsize()).toBe(0);
});
