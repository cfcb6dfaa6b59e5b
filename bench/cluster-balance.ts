/**
 * Bar: three unequal workers (2, 4 and 8 processes at a time) with less work than room: load per capacity within 15 %.
 *
 * Waves of seven jobs, each sleeping for 400 ms, on an idle cluster; the same waves through three bare BullMQ workers of
 * concurrency 2, 4 and 8. After each wave: by how much the share of its places that one worker had filled is above that
 * of another, at most. `spread` is the mean of that over all waves. Then 280 jobs of 200 ms at once, which all workers
 * can be full of: their time against that of BullMQ.
 */
import { Queue, Worker } from "bullmq";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { spawn } from "node:child_process";
import { closeRedis, openRedis } from "../src/platform/redis.ts";
import { benchLogger, startBenchCluster } from "./shared/cluster.ts";
import { median, report, round, scratch } from "./shared/support.ts";

const SIZES = [2, 4, 8] as const;
const WAVES = Number(process.env["BENCH_WAVES"] ?? 20);
const WAVE_JOBS = 7;
const WAVE_SECONDS = "0.4";
const FULL_JOBS = 280;
const FULL_SECONDS = "0.2";
const idOf = (size: number) => `bench-${size}`;

/** By how much the fullest worker was fuller than the emptiest, as shares of their own places. */
function spreadOf(held: ReadonlyMap<string, number>): number {
  const loads = SIZES.map((size) => (held.get(idOf(size)) ?? 0) / size);
  return Math.max(...loads) - Math.min(...loads);
}

using folder = scratch("balance");
for (const [name, jobs] of [
  ["wave", WAVE_JOBS],
  ["full", FULL_JOBS],
] as const) {
  mkdirSync(join(folder.path, name));
  for (let at = 0; at < jobs; at += 1) writeFileSync(join(folder.path, name, `f${at}`), "");
}

await using cluster = await startBenchCluster({
  folder: folder.path,
  maxProcesses: SIZES[0],
  workerId: idOf(SIZES[0]),
  more: SIZES.slice(1).map((size) => ({ workerId: idOf(size), maxProcesses: size })),
});

let runs = 0;
async function ours(kind: "wave" | "full", seconds: string): Promise<{ seconds: number; held: Map<string, number> }> {
  runs += 1;
  const started = performance.now();
  const { run } = await cluster.client.run({
    command: ["/bin/sleep", seconds],
    input: { kind: "tree", root: join(folder.path, kind) },
    output: { from: "none", root: join(folder.path, `out-${runs}`) },
    chunk: { maxFiles: 1 },
    resources: { memoryBytes: 2 ** 26 },
  });
  await cluster.client.wait(run.id);
  const took = (performance.now() - started) / 1_000;
  const held = new Map<string, number>();
  for await (const row of cluster.store.files.all(run.id, 0))
    held.set(row.workerId ?? "", (held.get(row.workerId ?? "") ?? 0) + 1);
  return { seconds: took, held };
}

const connection = openRedis(cluster.redis.url, "blocking", benchLogger);
const queue = new Queue("bare", { connection });
let bareHeld = new Map<string, number>();
let ended: () => void = () => undefined;
let left = 0;
const workers = SIZES.map(
  (size) =>
    new Worker(
      "bare",
      async ({ data }: { data: { seconds: string } }) => {
        bareHeld.set(idOf(size), (bareHeld.get(idOf(size)) ?? 0) + 1);
        const child = spawn("/bin/sleep", [data.seconds], { stdio: "ignore" });
        await new Promise((resolve) => child.once("exit", resolve));
        left -= 1;
        if (left === 0) ended();
      },
      { connection, concurrency: size },
    ),
);

async function bare(jobs: number, seconds: string): Promise<{ seconds: number; held: Map<string, number> }> {
  bareHeld = new Map();
  left = jobs;
  const allEnded = new Promise<void>((resolve) => (ended = resolve));
  const started = performance.now();
  await queue.addBulk(
    Array.from({ length: jobs }, () => ({ name: "file", data: { seconds }, opts: { removeOnComplete: true } })),
  );
  await allEnded;
  return { seconds: (performance.now() - started) / 1_000, held: bareHeld };
}

const spreads = { ours: [] as number[], bare: [] as number[] };
for (let wave = 0; wave < WAVES; wave += 1) {
  spreads.ours.push(spreadOf((await ours("wave", WAVE_SECONDS)).held));
  spreads.bare.push(spreadOf((await bare(WAVE_JOBS, WAVE_SECONDS)).held));
  await sleep(100);
}
const times = { ours: [] as number[], bare: [] as number[] };
for (let at = 0; at < 3; at += 1) {
  times.ours.push((await ours("full", FULL_SECONDS)).seconds);
  times.bare.push((await bare(FULL_JOBS, FULL_SECONDS)).seconds);
}
await Promise.all(workers.map((worker) => worker.close()));
await queue.close();
await closeRedis(connection);

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
report("cluster-balance", {
  waves: WAVES,
  jobsPerWave: WAVE_JOBS,
  spread: round(mean(spreads.ours)),
  worstSpread: round(Math.max(...spreads.ours)),
  wavesAbove15Percent: spreads.ours.filter((spread) => spread > 0.15).length,
  bullmqSpread: round(mean(spreads.bare)),
  fullSeconds: round(median(times.ours)),
  bullmqFullSeconds: round(median(times.bare)),
  ratio: round(median(times.bare) / median(times.ours)),
  bar: "spread <= 0.15, ratio about 1",
});
