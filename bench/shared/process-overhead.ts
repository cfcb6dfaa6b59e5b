/** What the process of a job takes beside what its job says: an interpreter, pages, a start and an end. Measured alone. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { writeLoad, type LoadJob, type WrittenJob } from "./memory-load.ts";

export interface ProcessOverhead {
  readonly baseMb: number;
  /** MiB of the process for each MiB of the job. */
  readonly perMb: number;
  readonly seconds: number;
}

const [SMALL_MB, LARGE_MB, SECONDS] = [64, 256, 0.5];
const LOOK_MS = 5;
const ROUNDS = 3;

/** The job as its process is: what the kernel counts for it, and for how long. */
export function asProcess(job: LoadJob, { baseMb, perMb, seconds }: ProcessOverhead): LoadJob {
  return { ...job, peakMb: baseMb + perMb * job.peakMb, seconds: job.seconds + seconds };
}

/** Runs two sizes of a job in turn, nothing beside them. The least of some rounds counts: others may use the machine. */
export async function measureOverhead(folder: string): Promise<ProcessOverhead> {
  const jobOf = (peakMb: number): LoadJob => ({ kind: "thumb", size: 1, peakMb, seconds: SECONDS, shape: "flat" });
  const jobs = writeLoad(join(folder, "bin"), join(folder, "in"), [jobOf(SMALL_MB), jobOf(LARGE_MB)]);
  const least = jobs.map(() => ({ peakMb: Infinity, seconds: Infinity }));
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [at, job] of jobs.entries()) {
      const { peakMb, seconds } = await runAlone(job);
      const known = least[at] ?? { peakMb, seconds };
      least[at] = { peakMb: Math.min(known.peakMb, peakMb), seconds: Math.min(known.seconds, seconds) };
    }
  }
  const [small, large] = least;
  if (small === undefined || large === undefined) throw new Error("expected two jobs to measure");
  const perMb = (large.peakMb - small.peakMb) / (LARGE_MB - SMALL_MB);
  return { perMb, baseMb: small.peakMb - perMb * SMALL_MB, seconds: small.seconds - SECONDS };
}

async function runAlone({ command: [program, input] }: WrittenJob): Promise<{ peakMb: number; seconds: number }> {
  const startedMs = performance.now();
  const child = spawn(program, [input], { stdio: "ignore" });
  const ended = once(child, "exit");
  let peakMb = 0;
  while (child.exitCode === null && child.signalCode === null) {
    peakMb = Math.max(peakMb, highWaterMb(child.pid));
    await sleep(LOOK_MS);
  }
  await ended;
  if (child.exitCode !== 0 || peakMb === 0) throw new Error(`expected ${program} to end well and to be seen`);
  return { peakMb, seconds: (performance.now() - startedMs) / 1_000 };
}

/** 0 once it has no memory any more. */
function highWaterMb(pid: number | undefined): number {
  const status = readFileSync(`/proc/${pid ?? 0}/status`, "latin1");
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1_024;
}
