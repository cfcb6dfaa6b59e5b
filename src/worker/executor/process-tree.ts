/**
 * What a process and its descendants use now, from /proc; no process is started for it. `members` are those of its control
 * group, where it has one: they are its own though their parents have ended.
 */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";

export interface TreeUsage {
  readonly rssBytes: number;
  readonly cpuMs: number;
  readonly processes: number;
  /** Bytes that came from and went to disks; null when they cannot be read. */
  readonly ioBytes: number | null;
}

const PAGE_BYTES = pageBytes();
/** USER_HZ: what /proc counts processor time in, 100 on every architecture that Node runs on. */
const TICK_MS = 10;
const MAX_PROCESSES = 4_096;

/** A process of a tree. */
export interface TreeProcess {
  readonly pid: number;
  readonly group: number;
}

/** `pid` and all below it, as they are now. */
export function processesOfTree(pid: number, members: readonly number[] = []): TreeProcess[] {
  return [...walk(pid, members)];
}

/** A process that changes its parent meanwhile is met once. */
function* walk(pid: number, members: readonly number[]): Generator<TreeProcess & Omit<Own, "threads">> {
  const queue = [...members, pid];
  const seen = new Set<number>();
  for (let next = queue.pop(); next !== undefined && seen.size < MAX_PROCESSES; next = queue.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    const own = usageOf(next);
    if (own === undefined) continue;
    yield { pid: next, ...own };
    queue.push(...childrenOf(next, own.threads));
  }
}

/** Signals what is below `pid` and has left its process group: the group itself is reached as one. */
export function signalOutsiders(pid: number, signal: "SIGSTOP" | "SIGCONT", members: readonly number[] = []): void {
  for (const one of processesOfTree(pid, members)) {
    if (one.group === pid) continue;
    try {
      process.kill(one.pid, signal);
    } catch {
      // It ended in between, or has become another user's: then it is not ours to stop.
    }
  }
}

/** The usage of `pid` and all below it; undefined when it is gone. */
export function usageOfTree(pid: number, members: readonly number[] = []): TreeUsage | undefined {
  let rssBytes = 0;
  let cpuMs = 0;
  let processes = 0;
  let ioBytes: number | null = null;
  for (const own of walk(pid, members)) {
    rssBytes += own.rssBytes;
    cpuMs += own.cpuMs;
    processes += 1;
    ioBytes = sumOf(ioBytes, ioBytesOf(own.pid));
  }
  return processes === 0 ? undefined : { rssBytes, cpuMs, processes, ioBytes };
}

const buffer = Buffer.allocUnsafeSlow(64 * 1024);

function readProc(path: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch {
    return undefined; // The process ended in between.
  }
  try {
    return buffer.toString("latin1", 0, readSync(fd, buffer, 0, buffer.length, 0));
  } catch {
    return undefined; // ESRCH: it ended while it was read.
  } finally {
    closeSync(fd);
  }
}

interface Own {
  readonly rssBytes: number;
  readonly cpuMs: number;
  readonly threads: number;
  readonly group: number;
}

function usageOf(pid: number): Own | undefined {
  const stat = readProc(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The name in parentheses may itself hold spaces and parentheses: fields are counted from the last one.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]), 0);
  const [group, threads] = [Number(fields[2]), Number(fields[17])];
  return { rssBytes: Number(fields[21]) * PAGE_BYTES, cpuMs: ticks * TICK_MS, threads, group };
}

/** Only of processes of the same user, and not in every kernel. */
function ioBytesOf(pid: number): number | null {
  const io = readProc(`/proc/${pid}/io`);
  const read = io === undefined ? null : /^read_bytes: (\d+)$/m.exec(io);
  const written = io === undefined ? null : /^write_bytes: (\d+)$/m.exec(io);
  return read === null || written === null ? null : Number(read[1]) + Number(written[1]);
}

function sumOf(a: number | null, b: number | null): number | null {
  return b === null ? a : (a ?? 0) + b;
}

/** Any thread may have started a child. */
function childrenOf(pid: number, threads: number): number[] {
  const lists =
    threads <= 1
      ? [readProc(`/proc/${pid}/task/${pid}/children`)]
      : threadsOf(pid).map((thread) => readProc(`/proc/${pid}/task/${thread}/children`));
  return lists.flatMap((list) => (list === undefined || list === "" ? [] : list.trim().split(" ").map(Number)));
}

/** The numbers of all threads of a process; none once it has ended. */
export function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return []; // The process ended in between.
  }
}

function pageBytes(): number {
  try {
    // `KernelPageSize` of any mapping is the page size that statm and stat count in.
    const kib = /KernelPageSize:\s+(\d+) kB/.exec(readFileSync("/proc/self/smaps", "utf8"))?.[1];
    return Number(kib ?? 4) * 1024;
  } catch {
    return 4096; // No smaps in this kernel: the size of all common machines.
  }
}
