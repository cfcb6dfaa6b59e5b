/**
 * What governing costs: CPU share of one core with 50 running jobs and when idle, and processes that it starts. Prints one
 * JSON line. The bars: 2 % of a core with jobs, 0.2 % idle, no process. What the same loop costs without a governor is
 * taken off the idle figure; with jobs it is left in.
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
import { report, round } from "./shared/support.ts";

const JOBS = 50;
const MEASURE_MS = Number(process.env["BENCH_MS"] ?? 5_000);
const BAR = 0.02;
const IDLE_BAR = 0.002;

interface Cost {
  readonly share: number;
  readonly forks: number;
}

function createGovernor(cpuThreshold?: number): Governor {
  return new Governor(
    {
      clock: systemClock,
      logger: createLogger("silent", {}),
      sensor: new CapacitySensor(createProbes(systemRoots)),
      processes: new ProcessTrees(systemRoots),
      metrics: { decided: () => undefined, stepped: () => undefined },
      act: () => undefined,
    },
    { labels: [], maxProcesses: JOBS, ...(cpuThreshold !== undefined && { cpuThreshold }) },
  );
}

/** Watches this process and the machine for a while. */
async function watch(): Promise<Cost> {
  await systemClock.sleep(1_000);
  const before = { cpu: process.cpuUsage(), forks: systemForks(), atMs: performance.now() };
  await systemClock.sleep(MEASURE_MS);
  const used = process.cpuUsage(before.cpu);
  const share = (used.user + used.system) / 1_000 / (performance.now() - before.atMs);
  return { share, forks: systemForks() - before.forks };
}

async function measureIdle(): Promise<Cost> {
  const nothing = await watch();
  const governor = createGovernor();
  await governor.start();
  const idle = await watch();
  await governor.stop();
  return { share: Math.max(0, idle.share - nothing.share), forks: idle.forks - nothing.forks };
}

async function measure(cpuThreshold: number | undefined): Promise<Cost> {
  const governor = createGovernor(cpuThreshold);
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
  const cost = await watch();
  for (const child of children) child.kill("SIGKILL");
  await governor.stop();
  return cost;
}

/** Processes and threads started on this machine since it booted, by whomever. */
function systemForks(): number {
  return Number(/^processes (\d+)/m.exec(readFileSync("/proc/stat", "utf8"))?.[1] ?? NaN);
}

const idle = await measureIdle();
const plain = await measure(undefined);
const withThreshold = await measure(0.8);
report("governor-cost", {
  jobs: JOBS,
  cpuShare: round(plain.share, 4),
  cpuShareWithCpuThreshold: round(withThreshold.share, 4),
  cpuShareIdle: round(idle.share, 4),
  idleBar: IDLE_BAR,
  machineForks: plain.forks,
  bar: BAR,
  ratio: round(plain.share / BAR),
  passed: plain.share <= BAR && idle.share <= IDLE_BAR,
});
