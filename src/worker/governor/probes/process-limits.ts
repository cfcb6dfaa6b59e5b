/** How many processes and threads there may be, and are: of each cgroup above us, and of the whole machine. */
import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import { CachedFile, parseWhole, readOptional, unexpected } from "./cached-file.ts";
import { findCgroup } from "./cgroup-paths.ts";
import type { CountLevel, InlineProbe, ProbeRoots } from "./probe.ts";

export interface ProcessCounts {
  readonly levels: readonly CountLevel[];
  readonly load: MachineLoad | undefined;
}

/** Work of everybody on this machine. */
export interface MachineLoad {
  /** Tasks that ran or waited for a CPU or a disk, averaged over the last minute. */
  readonly average: number;
  readonly threads: number;
}

export class ProcessLimitsProbe implements InlineProbe<ProcessCounts> {
  readonly name = "process limits";
  readonly mode = "inline";
  readonly periodMs = 500;
  readonly staleMs = 10_000;
  readonly #roots: ProbeRoots;
  #folders: readonly { readonly name: string; readonly max: CachedFile; readonly current: CachedFile }[] = [];
  #load: CachedFile | undefined;
  #hostLimit = Infinity;

  constructor(roots: ProbeRoots) {
    this.#roots = roots;
  }

  open(): boolean {
    this.close();
    const folders = findCgroup(this.#roots, "pids")?.folders ?? [];
    this.#folders = folders
      .filter((folder) => existsSync(join(folder, "pids.max")) && existsSync(join(folder, "pids.current")))
      .map((folder) => ({
        name: `cgroup /${relative(this.#roots.cgroup, folder)}`,
        max: new CachedFile(join(folder, "pids.max")),
        current: new CachedFile(join(folder, "pids.current")),
      }));
    const load = join(this.#roots.proc, "loadavg");
    if (existsSync(load)) this.#load = new CachedFile(load);
    const limits = ["kernel/pid_max", "kernel/threads-max"].map((name) =>
      Number(readOptional(join(this.#roots.proc, "sys", name)) ?? Infinity),
    );
    this.#hostLimit = Math.min(...limits.filter((limit) => limit > 0), Infinity);
    return this.#folders.length > 0 || this.#load !== undefined;
  }

  read(): ProcessCounts {
    const levels: CountLevel[] = [];
    for (const { name, max, current } of this.#folders) {
      const text = max.read();
      if (text.startsWith("max")) continue;
      levels.push({ name, limit: parseWhole(text, max.path), used: parseWhole(current.read(), current.path) });
    }
    const load = this.#load === undefined ? undefined : parseLoad(this.#load.read(), this.#load.path);
    if (load !== undefined && this.#hostLimit < Infinity) {
      levels.push({ name: "host", limit: this.#hostLimit, used: load.threads });
    }
    return { levels, load };
  }

  close(): void {
    for (const { max, current } of this.#folders) {
      max.close();
      current.close();
    }
    this.#folders = [];
    this.#load?.close();
    this.#load = undefined;
  }
}

/** `0.20 0.18 0.12 2/1345 4711`: the fourth field is running and all threads. */
function parseLoad(text: string, path: string): MachineLoad {
  const [, average, threads] = /^(\d+\.\d+) \S+ \S+ \d+\/(\d+) /.exec(text) ?? [];
  if (average === undefined || threads === undefined) throw unexpected(path, "load averages and threads", text);
  return { average: Number(average), threads: Number(threads) };
}
