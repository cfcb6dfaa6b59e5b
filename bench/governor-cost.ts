/**
 * What governing costs with 50 running jobs: CPU share of one core, and processes started by it. Prints one JSON line.
 * The bar is 2 % of a core and no process.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { MiB } from "../src/contract/resources.ts";
import { systemClock } from "../src/platform/clock.ts";
import { createLogger } from "../src/platform/logger.ts";
import { CapacitySensor, createProbes } from "../src/worker/governor/capacity.ts";
import { Governor } from "../src/worker/governor/governor.ts";
import { systemRoots } from "../src/worker/governor/probes/probe.ts";
import { ProcessTrees } from "../src/worker/governor/probes/process-trees.ts";
import { report, round } from "./support.ts";

const JOBS = 50;
const MEASURE_MS = Number(process.env["BENCH_MS"] ?? 5_000);
const BAR = 0.02;

async function measure(cpuThreshold: number | undefined): Promise<{ share: number; forks: number }> {
  const governor = new Governor(
    {
      clock: systemClock,
      logger: createLogger("silent", {}),
      sensor: new CapacitySensor(createProbes(systemRoots)),
      processes: new ProcessTrees(systemRoots),
      metrics: { decided: () => undefined, evicted: () => undefined },
      evict: () => undefined,
    },
    { labels: [], maxProcesses: JOBS, ...(cpuThreshold !== undefined && { cpuThreshold }) },
  );
  await governor.start();
  const children: ChildProcess[] = [];
  for (let at = 0; at < JOBS; at += 1) {
    const answer = governor.tryReserve({
      queue: "exec.bench@0",
      need: { memoryBytes: MiB, cpuCores: 1, processes: 1 },
      labels: [],
    });
    // With a CPU threshold the gate may hold some back: their processes are measured all the same.
    if (answer.kind === "admit") answer.bind(`job-${at}`, "bench");
    const child = spawn("sleep", ["600"]);
    children.push(child);
    governor.attach(`job-${at}`, child.pid ?? 0);
  }
  await systemClock.sleep(1_000);
  const before = { cpu: process.cpuUsage(), forks: systemForks(), atMs: performance.now() };
  await systemClock.sleep(MEASURE_MS);
  const used = process.cpuUsage(before.cpu);
  const forks = systemForks() - before.forks;
  const share = (used.user + used.system) / 1_000 / (performance.now() - before.atMs);
  for (const child of children) child.kill("SIGKILL");
  await governor.stop();
  return { share, forks };
}

/** Processes and threads started on this machine since it booted, by whomever. */
function systemForks(): number {
  return Number(/^processes (\d+)/m.exec(readFileSync("/proc/stat", "utf8"))?.[1] ?? NaN);
}

const plain = await measure(undefined);
const withThreshold = await measure(0.8);
report("governor-cost", {
  jobs: JOBS,
  cpuShare: round(plain.share, 4),
  cpuShareWithCpuThreshold: round(withThreshold.share, 4),
  machineForks: plain.forks,
  bar: BAR,
  ratio: round(plain.share / BAR),
  passed: plain.share <= BAR,
});
