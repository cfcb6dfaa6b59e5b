/**
 * Bar: the job of a worker that was killed (SIGKILL) is held by another one within its lock and one check of stalled jobs.
 *
 * Two workers with one place each and two jobs, so each holds one; the killed one is a process of its own, and the other
 * has ended its job long before the lock of the lost one runs out. The other side is the same over bare BullMQ workers with
 * the same lock and the same check. `ofBar` is the slowest of all samples, as a share of lock and check together.
 */
import { Queue, Worker } from "bullmq";
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { closeRedis, openRedis } from "../src/platform/redis.ts";
import { SETTINGS } from "../tests/support/processes/settings.ts";
import { benchLogger, PREFIX, startBenchCluster } from "./shared/cluster.ts";
import { quantile, report, round, scratch } from "./shared/support.ts";

const SAMPLES = Number(process.env["BENCH_SAMPLES"] ?? 20);
const LOCK_MS = 2_000;
/** As a worker with such a lock has it. */
const CHECK_MS = 1_000;
const JOB_MS = 500;

/** Who claims what, by us. */
let onClaim: (jobId: string) => void = () => undefined;
const claimOf = (isMeant: (jobId: string) => boolean) =>
  new Promise<void>((resolve) => {
    onClaim = (jobId) => {
      if (isMeant(jobId)) resolve();
    };
  });

/** The first line of a process that begins so; what comes after it. */
function lineOf(child: ChildProcess, begin: string): Promise<string> {
  const { stdout } = child;
  if (stdout === null) throw new Error("expected a process whose output is read");
  const lines = createInterface(stdout);
  return new Promise((resolve, reject) => {
    lines.on("line", (line) => {
      if (line.startsWith(begin)) resolve(line.slice(begin.length));
    });
    lines.once("close", () => {
      reject(new Error(`expected a line that begins with ${begin}, found the end of the process`));
    });
  });
}

/** Kills a process that holds a job, and waits for the survivor to hold that job; ms. */
async function takeover(victim: ChildProcess, jobId: string): Promise<number> {
  const taken = claimOf((id) => id === jobId);
  victim.kill("SIGKILL");
  const killedMs = performance.now();
  await taken;
  return performance.now() - killedMs;
}

using folder = scratch("takeover");
mkdirSync(join(folder.path, "in"));
for (const name of ["a", "b"]) writeFileSync(join(folder.path, "in", name), "");
await using cluster = await startBenchCluster({
  ...{ folder: folder.path, maxProcesses: 1, lockMs: LOCK_MS },
  onClaim: (_, jobId) => {
    onClaim(jobId);
  },
});

async function ours(at: number): Promise<number> {
  const store = `sqlite:${join(folder.path, "store.db")}`;
  const settings = { id: `victim-${at}`, redis: cluster.redis.url, store, prefix: PREFIX };
  const victim = spawn(
    process.execPath,
    [fileURLToPath(new URL("../tests/support/processes/worker.js", import.meta.url))],
    {
      env: { ...process.env, [SETTINGS]: JSON.stringify({ ...settings, maxProcesses: 1, lockMs: LOCK_MS }) },
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const held = lineOf(victim, "claimed exec ");
  await lineOf(victim, "ready");
  const { run } = await cluster.client.run({
    command: ["/bin/sleep", String(JOB_MS / 1_000)],
    input: { kind: "tree", root: join(folder.path, "in") },
    output: { from: "none", root: folder.path },
    chunk: { maxFiles: 1 },
    resources: { memoryBytes: 2 ** 26 },
  });
  const ms = await takeover(victim, await held);
  const { counts } = await cluster.client.wait(run.id);
  if (counts.succeeded !== 2) throw new Error(`expected both files to succeed, found ${JSON.stringify(counts)}`);
  return ms;
}

const connection = openRedis(cluster.redis.url, "blocking", benchLogger);
const queue = new Queue("bare", { connection });
const options = { lockDuration: LOCK_MS, stalledInterval: CHECK_MS };
const VICTIM = `
import { Worker } from "bullmq";
import { Redis } from "ioredis";
const [url, options] = process.argv.slice(1);
// A socket of the file system.
const connection = new Redis(new URL(url).pathname, { maxRetriesPerRequest: null });
const hold = (job) => (console.log("claimed " + job.id), new Promise(() => undefined));
await new Worker("bare", hold, { connection, ...JSON.parse(options) }).waitUntilReady();
console.log("ready");
`;

async function bare(): Promise<number> {
  const victim = spawn(
    process.execPath,
    ["--input-type=module", "-e", VICTIM, cluster.redis.url, JSON.stringify(options)],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const held = lineOf(victim, "claimed ");
  await lineOf(victim, "ready");
  await queue.addBulk([
    { name: "job", data: {} },
    { name: "job", data: {} },
  ]);
  return takeover(victim, await held);
}

const worker = new Worker(
  "bare",
  async (job) => {
    onClaim(job.id ?? "");
    await sleep(JOB_MS);
  },
  { connection, ...options },
);
await worker.waitUntilReady();
const samples = { bullmq: [] as number[], headroom: [] as number[] };
for (let at = 0; at < SAMPLES; at += 1) {
  samples.headroom.push(await ours(at));
  samples.bullmq.push(await bare());
}
await worker.close();
await queue.close();
await closeRedis(connection);

const told = (ms: readonly number[]) => ({
  ...{ p50Ms: round(quantile(ms, 0.5), 0), mostMs: round(Math.max(...ms), 0) },
  ofBar: round(Math.max(...ms) / (LOCK_MS + CHECK_MS)),
});
report("takeover", {
  ...{ samples: SAMPLES, lockMs: LOCK_MS, checkMs: CHECK_MS },
  ...{ bullmq: told(samples.bullmq), headroom: told(samples.headroom) },
  bar: "headroom.ofBar <= 1",
});
