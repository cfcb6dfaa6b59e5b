/** Counts the kernel's memory kills, so that a SIGKILL out of nowhere can be told from one for lack of memory. */
import { readFileSync } from "node:fs";
import { GROUP_PREFIX, WORKER_LEAF } from "../governor/probes/cgroup-paths.ts";

const STALE_MS = 1_000;
const LEAF = new RegExp(`/${GROUP_PREFIX}[^/]*/${WORKER_LEAF}$`);

/**
 * The count is read when something starts running, about once a second while anything runs, and when a process was
 * killed: a process that ran while the count rose, and ended by SIGKILL, is taken for its victim.
 */
export class MemoryKills {
  readonly #sources: readonly { readonly path: string; readonly pattern: RegExp }[];
  #count = 0;
  #readMs = -Infinity;

  constructor(sources = memoryKillSources()) {
    this.#sources = sources;
  }

  /** The count as of at most a second ago. */
  recent(nowMs: number): number {
    return nowMs - this.#readMs < STALE_MS ? this.#count : this.now(nowMs);
  }

  now(nowMs: number): number {
    this.#readMs = nowMs;
    this.#count = 0;
    for (const { path, pattern } of this.#sources) this.#count += Number(pattern.exec(readOrEmpty(path))?.[1] ?? 0);
    return this.#count;
  }
}

/** Our control group's counter where there is one (v2, then v1), and the host's: kills are only ever compared. */
function memoryKillSources(): { path: string; pattern: RegExp }[] {
  const groups = readOrEmpty("/proc/self/cgroup");
  // Kills of all below a group count in it: of the worker's own leaf there are none.
  const unified = /^0::(\/.*)$/m.exec(groups)?.[1]?.replace(LEAF, "");
  const legacy = /^\d+:[^:]*\bmemory\b[^:]*:(\/.*)$/m.exec(groups)?.[1];
  const pattern = /^oom_kill (\d+)$/m;
  return [
    ...(unified === undefined ? [] : [{ path: `/sys/fs/cgroup${unified}/memory.events`, pattern }]),
    ...(legacy === undefined ? [] : [{ path: `/sys/fs/cgroup/memory${legacy}/memory.oom_control`, pattern }]),
    { path: "/proc/vmstat", pattern },
  ];
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // This kernel or container has no such counter.
  }
}
