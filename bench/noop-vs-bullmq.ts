/**
 * Bar: no-op work over 50,000 files, from the enqueuing call to the end of the run with a row per file, against a bare
 * BullMQ worker (concurrency 50) with one no-op job per file on the same Redis, from the first add to the last end.
 */
import { Queue, Worker } from "bullmq";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { closeRedis, openRedis } from "../src/platform/redis.ts";
import { benchLogger, startBenchCluster, type BenchCluster } from "./shared/cluster.ts";
import { median, report, round, scratch } from "./shared/support.ts";

const FILES = Number(process.env["BENCH_FILES"] ?? 50_000);
const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 3);
const PER_FOLDER = 1_000;
const ADD_BULK = 1_000;
const CONCURRENCY = 50;

async function bare(redisUrl: string, at: number): Promise<number> {
  const connection = openRedis(redisUrl, "blocking", benchLogger);
  const queue = new Queue(`bare-${at}`, { connection });
  let done = 0;
  const started = performance.now();
  const worker = new Worker(
    `bare-${at}`,
    () => {
      done += 1;
      return Promise.resolve();
    },
    { connection, concurrency: CONCURRENCY },
  );
  const ended = new Promise<void>((resolve) => {
    let completed = 0;
    worker.on("completed", () => {
      completed += 1;
      if (completed === FILES) resolve();
    });
  });
  for (let from = 0; from < FILES; from += ADD_BULK) {
    const length = Math.min(ADD_BULK, FILES - from);
    await queue.addBulk(
      Array.from({ length }, (_, i) => ({
        name: "file",
        data: { path: `f${from + i}` },
        opts: { removeOnComplete: true },
      })),
    );
  }
  await ended;
  const seconds = (performance.now() - started) / 1_000;
  await worker.close();
  await queue.obliterate({ force: true });
  await queue.close();
  await closeRedis(connection);
  if (done !== FILES) throw new Error(`expected ${FILES} jobs, found ${done}`);
  return FILES / seconds;
}

async function ours(cluster: BenchCluster, folder: string, at: number): Promise<number> {
  const started = performance.now();
  const { run } = await cluster.client.run({
    executor: "noop",
    command: ["/bin/true"],
    input: { kind: "tree", root: join(folder, "in") },
    output: { from: "none", root: join(folder, `out-${at}`) },
  });
  const ended = await cluster.client.wait(run.id);
  const seconds = (performance.now() - started) / 1_000;
  if (ended.counts.succeeded !== FILES)
    throw new Error(`expected ${FILES} files, found ${JSON.stringify(ended.counts)}`);
  return FILES / seconds;
}

using folder = scratch("noop");
for (let from = 0; from < FILES; from += PER_FOLDER) {
  const part = join(folder.path, "in", String(from / PER_FOLDER));
  mkdirSync(part, { recursive: true });
  for (let i = 0; i < Math.min(PER_FOLDER, FILES - from); i += 1) writeFileSync(join(part, `f${i}`), "");
}
const rates = { bare: [] as number[], ours: [] as number[] };
{
  await using cluster = await startBenchCluster({ folder: folder.path });
  for (let at = 0; at < ROUNDS; at += 1) {
    rates.ours.push(await ours(cluster, folder.path, at));
    rates.bare.push(await bare(cluster.redis.url, at));
  }
}
report("noop-vs-bullmq", {
  files: FILES,
  rounds: ROUNDS,
  bullmqFilesPerSecond: round(median(rates.bare), 0),
  filesPerSecond: round(median(rates.ours), 0),
  ratio: round(median(rates.ours) / median(rates.bare)),
  bar: "ratio >= 3",
});
