/**
 * What people do without a governor, over real processes in a memory cgroup: polled thresholds, declared requests, a fixed
 * number at a time, a tuner in the manner of Temporal's resource-based one, and GNU parallel itself with `--memfree`.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { BenchCgroup } from "./bench-cgroup.ts";
import { declaredMb, type WrittenJob } from "./memory-load.ts";
import type { TunedSetting } from "./tuned-setting.ts";

export interface SideResult {
  readonly seconds: number;
  readonly kernelKills: number;
  readonly failed: number;
  /** Work of processes that came to nothing, of all work that came to something. */
  readonly wasted: number;
}

export interface Moment {
  readonly atMs: number;
  readonly running: readonly { readonly job: WrittenJob }[];
  readonly usedMb: number;
  readonly limitMb: number;
  readonly cpu: number;
}

/** Says whether the next job of the queue may start now. Asked again at once after each start. */
export type Policy = () => (job: WrittenJob, moment: Moment) => boolean;

const TICK_MS = 50;
const MAX_TRIES = 3;

/** A job is admitted, once in \`everyMs\`, while less than these shares are in use. */
export const threshold =
  (memory: number, everyMs: number): Policy =>
  () => {
    let nextMs = 0;
    return (_, { atMs, usedMb, limitMb, cpu }) => {
      if (atMs < nextMs || usedMb / limitMb >= memory || cpu >= 0.8) return false;
      nextMs = atMs + everyMs;
      return true;
    };
  };

export const fixed =
  (processes: number): Policy =>
  () =>
  (_, { running }) =>
    running.length < processes;

/** Requests: so many at a time at most, and so much of the declared sizes of what runs and of this one fits. */
export const requested =
  ({ processes, share }: TunedSetting): Policy =>
  () =>
  (job, { running, limitMb }) => {
    if (running.length >= processes) return false;
    const used = running.reduce((sum, entry) => sum + share * declaredMb(entry.job.kind), 0);
    return running.length === 0 || used + share * declaredMb(job.kind) <= limitMb - 60;
  };

export const declared = requested({ processes: Infinity, share: 1 });

/**
 * A controller on memory and CPU with p = 5, d = 1 and targets of 0.8 and 0.9; a slot at most each 50 ms, one without any
 * check. As Temporal's resource-based tuner has it (sdk-core, worker/tuner/resource_based.rs).
 */
export const temporal: Policy = () => {
  let nextMs = 0;
  let memoryBefore: number | undefined;
  let cpuBefore: number | undefined;
  return (_, { atMs, running, usedMb, limitMb, cpu }) => {
    if (running.length === 0) return true;
    if (atMs < nextMs) return false;
    const memory = usedMb / limitMb;
    const memoryOutput = 5 * (0.8 - memory) - (memory - (memoryBefore ?? memory));
    const cpuOutput = 5 * (0.9 - cpu) - (cpu - (cpuBefore ?? cpu));
    memoryBefore = memory;
    cpuBefore = cpu;
    nextMs = atMs + 50;
    return memoryOutput > 0.25 && cpuOutput > 0.05 && memory <= 0.8;
  };
};

/** Runs all jobs by a policy; what dies is tried again at the end of the queue, three times in all. */
export async function runByPolicy(
  policy: Policy,
  jobs: readonly WrittenJob[],
  cgroup: BenchCgroup,
): Promise<SideResult> {
  const decide = policy();
  const queue = jobs.map((job) => ({ job, tries: 0 }));
  const running = new Set<{ readonly job: WrittenJob; readonly tries: number; readonly sinceMs: number }>();
  const killsBefore = cgroup.kernelKills;
  const startedMs = performance.now();
  let failed = 0;
  let wastedMs = 0;
  let cpuBefore = readCpu();
  while (queue.length + running.size > 0) {
    const cpuNow = readCpu();
    const cpu = 1 - (cpuNow.idle - cpuBefore.idle) / Math.max(1, cpuNow.total - cpuBefore.total);
    if (cpuNow.total - cpuBefore.total > 50) cpuBefore = cpuNow;
    for (let next = queue[0]; next !== undefined; next = queue[0]) {
      const atMs = performance.now();
      const moment = { atMs, running: [...running], usedMb: cgroup.workingSetMb, limitMb: cgroup.limitMb, cpu };
      if (!decide(next.job, moment)) break;
      queue.shift();
      const entry = { ...next, sinceMs: atMs };
      running.add(entry);
      void cgroup.spawn(entry.job.command).then((isGood) => {
        running.delete(entry);
        if (isGood) return;
        wastedMs += performance.now() - entry.sinceMs;
        if (entry.tries + 1 >= MAX_TRIES) failed += 1;
        else queue.push({ job: entry.job, tries: entry.tries + 1 });
      });
    }
    await sleep(TICK_MS);
  }
  const work = jobs.reduce((sum, { seconds }) => sum + seconds, 0);
  const kernelKills = cgroup.kernelKills - killsBefore;
  return { seconds: (performance.now() - startedMs) / 1_000, kernelKills, failed, wasted: wastedMs / 1_000 / work };
}

/** GNU parallel, which reads the memory of the host: as its manual has it, with three tries. */
export async function runByParallel(jobs: readonly WrittenJob[], cgroup: BenchCgroup): Promise<SideResult> {
  const killsBefore = cgroup.kernelKills;
  const startedMs = performance.now();
  const options = ["--will-cite", "-j64", "--memfree", "800M", "--load", "400%", "--retries", "3"];
  const child = spawn("sh", cgroup.entering(["parallel", ...options, "--colsep", " ", "{1}", "{2}"]), {
    stdio: ["pipe", "ignore", "ignore"],
  });
  child.stdin.end(`${jobs.map(({ command }) => command.join(" ")).join("\n")}\n`);
  const [code] = (await once(child, "exit")) as [number | null];
  const kernelKills = cgroup.kernelKills - killsBefore;
  // Its exit code is the number of jobs that failed, up to 100; the work that was lost is not told.
  return {
    seconds: (performance.now() - startedMs) / 1_000,
    kernelKills,
    failed: code ?? jobs.length,
    wasted: Number.NaN,
  };
}

function readCpu(): { idle: number; total: number } {
  const [, ...ticks] = (readFileSync("/proc/stat", "latin1").split("\n")[0] ?? "").split(/\s+/);
  const values = ticks.map(Number);
  return {
    idle: (values[3] ?? 0) + (values[4] ?? 0),
    total: values.slice(0, 8).reduce((sum, value) => sum + value, 0),
  };
}
