/**
 * What the processes of running jobs use: resident memory at each reading, CPU time and new descendants at every
 * `SCAN_MS`. Descriptors stay bound to one process: a process number that is used again is never mistaken for a job's.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { CachedFile, readOptional } from "./cached-file.ts";
import { parseProcessStat } from "./cpu.ts";
import { GroupMeter, type GroupUsage, type MeteredGroup } from "./job-group.ts";
import type { ProbeRoots } from "./probe.ts";
import { pageBytes } from "./system-constants.ts";

/** Between two looks for new descendants. Memory that a new one takes is seen by the cgroup or host figure at once. */
const SCAN_MS = 500;

export interface ProcessUsage {
  readonly jobId: string;
  readonly rssBytes: number;
  /** CPU time of the processes that live now and of their ended children. */
  readonly cpuMs: number;
}

interface WatchedProcess {
  readonly statm: CachedFile;
  readonly stat: CachedFile;
  /** Children of the main thread, which are all there are while there is no other thread. */
  readonly children: CachedFile;
  cpuMs: number;
  threads: number;
}

interface WatchedJob {
  /** Processes that are measured by their control group. */
  readonly meters: Map<number, GroupMeter>;
  readonly roots: Set<number>;
  readonly processes: Map<number, WatchedProcess>;
  scannedAtMs: number;
}

export class ProcessTrees {
  readonly #proc: string;
  readonly #own: WatchedJob = {
    meters: new Map(),
    roots: new Set([process.pid]),
    processes: new Map(),
    scannedAtMs: 0,
  };
  readonly #jobs = new Map<string, WatchedJob>();
  #ownLastMs: number | undefined;
  #ownSumMs = 0;

  constructor(roots: ProbeRoots) {
    this.#proc = roots.proc;
  }

  /** From now on the process and its descendants count as the job's. Nothing is opened before the next reading. */
  watch(jobId: string, pid: number, group?: MeteredGroup): void {
    const job = this.#jobs.get(jobId) ?? {
      ...{ meters: new Map(), roots: new Set(), processes: new Map(), scannedAtMs: -Infinity },
    };
    if (group !== undefined) job.meters.set(pid, new GroupMeter(group, group.before));
    if (group?.cpu === undefined) job.roots.add(pid);
    job.scannedAtMs = -Infinity;
    this.#jobs.set(jobId, job);
  }

  /** Forgets one process of a job and its descendants, or the whole job. */
  unwatch(jobId: string, pid?: number): void {
    const job = this.#jobs.get(jobId);
    if (job === undefined) return;
    if (pid !== undefined) {
      job.roots.delete(pid);
      job.meters.get(pid)?.close();
      job.meters.delete(pid);
    }
    if (pid !== undefined && job.roots.size + job.meters.size > 0) job.scannedAtMs = -Infinity;
    else {
      for (const meter of job.meters.values()) meter.close();
      for (const process of job.processes.values()) closeProcess(process);
      this.#jobs.delete(jobId);
    }
  }

  /** Reads every watched job. A process that has ended counts nothing. */
  read(nowMs: number): readonly ProcessUsage[] {
    const usages: ProcessUsage[] = [];
    for (const [jobId, job] of this.#jobs) {
      if (nowMs - job.scannedAtMs >= SCAN_MS) this.#scan(job, nowMs);
      let pages = 0;
      let { rssBytes, cpuMs } = readMeters(job);
      for (const [pid, process] of job.processes) {
        const resident = residentPages(process);
        if (resident === undefined) {
          closeProcess(process);
          job.processes.delete(pid);
        } else {
          pages += resident;
          cpuMs += process.cpuMs;
        }
      }
      if (job.meters.size === 0) rssBytes = pages * pageBytes();
      usages.push({ jobId, rssBytes, cpuMs });
    }
    return usages;
  }

  /** The processes of a job now, as far as they were seen. */
  pidsOf(jobId: string): readonly number[] {
    const job = this.#jobs.get(jobId);
    if (job === undefined) return [];
    return [
      ...job.roots,
      ...job.processes.keys(),
      ...[...job.meters].flatMap(([pid, { members }]) => [pid, ...members]),
    ];
  }

  /**
   * CPU time that this process and all below it have used since the first call, those that have ended included. It never
   * goes back, even when the time of a process is lost because its parent has died; 0 where it cannot be read.
   */
  readOwnCpuMs(): number {
    this.#scan(this.#own, 0);
    let lastMs = 0;
    for (const process of this.#own.processes.values()) lastMs += process.cpuMs;
    this.#ownSumMs += Math.max(0, lastMs - (this.#ownLastMs ?? lastMs));
    this.#ownLastMs = lastMs;
    return this.#ownSumMs;
  }

  close(): void {
    for (const jobId of [...this.#jobs.keys()]) this.unwatch(jobId);
    for (const process of this.#own.processes.values()) closeProcess(process);
    this.#own.processes.clear();
  }

  #scan(job: WatchedJob, nowMs: number): void {
    job.scannedAtMs = nowMs;
    // Known processes are roots too: one whose parent has died hangs below init, and still is the job's.
    const open = [...new Set([...job.roots, ...job.processes.keys()])];
    const seen = new Set<number>(open);
    for (let pid = open.pop(); pid !== undefined; pid = open.pop()) {
      const process = this.#visit(job, pid);
      if (process === undefined) continue;
      for (const child of this.#children(pid, process)) {
        if (seen.has(child)) continue;
        seen.add(child);
        open.push(child);
      }
    }
  }

  #visit(job: WatchedJob, pid: number): WatchedProcess | undefined {
    const folder = join(this.#proc, String(pid));
    const process = job.processes.get(pid) ?? {
      statm: new CachedFile(join(folder, "statm")),
      stat: new CachedFile(join(folder, "stat")),
      children: new CachedFile(join(folder, "task", String(pid), "children")),
      cpuMs: 0,
      threads: 1,
    };
    try {
      Object.assign(process, parseProcessStat(process.stat.read()));
      job.processes.set(pid, process);
      return process;
    } catch {
      // Processes end at any time: one that cannot be read is gone.
      closeProcess(process);
      job.processes.delete(pid);
      job.roots.delete(pid);
      return undefined;
    }
  }

  /** Children of all threads; none where the kernel does not list them, so that only the root is measured there. */
  #children(pid: number, process: WatchedProcess): number[] {
    try {
      if (process.threads <= 1) return parsePids(process.children.read());
      const tasks = join(this.#proc, String(pid), "task");
      return readdirSync(tasks).flatMap((task) => parsePids(readOptional(join(tasks, task, "children")) ?? ""));
    } catch {
      // It ended between two reads.
      return [];
    }
  }
}

/** A group that is gone was left to the launcher's end: its process is looked for in the tree again. */
function readMeters({ meters, roots }: WatchedJob): GroupUsage & { cpuMs: number } {
  const sum = { rssBytes: 0, cpuMs: 0 };
  for (const [pid, meter] of meters) {
    try {
      const { rssBytes, cpuMs = 0 } = meter.read();
      sum.rssBytes += rssBytes;
      sum.cpuMs += cpuMs;
    } catch {
      meter.close();
      meters.delete(pid);
      roots.add(pid);
    }
  }
  return sum;
}

function parsePids(text: string): number[] {
  const trimmed = text.trim();
  return trimmed === "" ? [] : trimmed.split(" ").map(Number);
}

function residentPages(process: WatchedProcess): number | undefined {
  try {
    return Number(process.statm.read().split(" ", 2)[1] ?? 0);
  } catch {
    // It ended; its descriptor answers ESRCH.
    return undefined;
  }
}

function closeProcess(process: WatchedProcess): void {
  process.statm.close();
  process.stat.close();
  process.children.close();
}
