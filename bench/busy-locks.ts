/**
 * Bar: ten minutes with all CPUs busy: no lock that is not renewed, no job that counts as stalled.
 *
 * Twice as many processes as there are CPUs compute all the time, half of them as jobs of ours and half as jobs of a bare
 * BullMQ worker with the same lock (5 s; ours has 30 s by default), each in a process of its own. `BENCH_SECONDS` for less.
 */
import { Queue, Worker } from "bullmq";
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { closeRedis, openRedis } from "../src/platform/redis.ts";
import { benchLogger, startBenchCluster } from "./shared/cluster.ts";
import { report, round, scratch } from "./shared/support.ts";

const SECONDS = Number(process.env["BENCH_SECONDS"] ?? 600);
const LOCK_MS = 5_000;
const JOBS = availableParallelism();
const command = ["/usr/bin/perl", "-e", "my $end = time + shift; 1 while time < $end", String(SECONDS)] as const;

/** Share of all CPU time since the start of the machine that was used, and how much there was. */
function cpuTimes(): { readonly busyMs: number; readonly allMs: number } {
  let [busyMs, allMs] = [0, 0];
  for (const { times } of cpus()) {
    const all = times.user + times.nice + times.sys + times.irq + times.idle;
    allMs += all;
    busyMs += all - times.idle;
  }
  return { busyMs, allMs };
}

using folder = scratch("locks");
mkdirSync(join(folder.path, "in"));
for (let at = 0; at < JOBS; at += 1) writeFileSync(join(folder.path, "in", `f${at}`), "");
await using cluster = await startBenchCluster({ folder: folder.path, maxProcesses: JOBS, lockMs: LOCK_MS });
const connection = openRedis(cluster.redis.url, "blocking", benchLogger);
const queue = new Queue("bare", { connection });
const bare = { renewalsFailed: 0, stalled: 0, completed: 0 };
const worker = new Worker(
  "bare",
  () => {
    const child = spawn(command[0], command.slice(1), { stdio: "ignore" });
    return new Promise((resolve) => child.once("exit", resolve));
  },
  { connection, concurrency: JOBS, lockDuration: LOCK_MS },
);
const allDone = new Promise<void>((resolve) => {
  worker.on("completed", () => {
    bare.completed += 1;
    if (bare.completed === JOBS) resolve();
  });
});
worker.on("lockRenewalFailed", (jobIds) => (bare.renewalsFailed += jobIds.length));
worker.on("stalled", () => (bare.stalled += 1));
await worker.waitUntilReady();

const before = cpuTimes();
const { run } = await cluster.client.run({
  command: [...command],
  input: { kind: "tree", root: join(folder.path, "in") },
  output: { from: "none", root: folder.path },
  chunk: { maxFiles: 1 },
  resources: { memoryBytes: 2 ** 26 },
});
await queue.addBulk(Array.from({ length: JOBS }, () => ({ name: "job", data: {} })));
const { counts } = await cluster.client.wait(run.id);
await allDone;
const after = cpuTimes();
const stalled = (await cluster.metrics.counter("headroom_stalled_jobs_total").get()).values;
// A lock that is not renewed ends its job, and the file is told to have been tried in vain.
const lost = await cluster.store.files.attempts(run.id, { limit: 1_000 });
await worker.close();
await queue.close();
await closeRedis(connection);
report("busy-locks", {
  ...{ seconds: SECONDS, jobs: JOBS, lockMs: LOCK_MS },
  cpuBusy: round((after.busyMs - before.busyMs) / (after.allMs - before.allMs)),
  bullmq: bare,
  headroom: {
    renewalsFailed: lost.length,
    stalled: stalled.reduce((sum, { value }) => sum + value, 0),
    succeeded: counts.succeeded,
  },
  bar: "headroom.renewalsFailed 0, headroom.stalled 0, headroom.succeeded = jobs",
});
