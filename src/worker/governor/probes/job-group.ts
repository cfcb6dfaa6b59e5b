/**
 * What all that runs in the control group of a job uses: memory without page cache, which the kernel takes back by itself,
 * and CPU time, also of what has left its parents or has ended. A group is used again, so what was there before is left out.
 */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { CachedFile, findField, parseField, parseWhole, readOptional } from "./cached-file.ts";

/** Control groups of a job, or those in which the groups of jobs are made. */
export interface JobGroup {
  readonly version: 1 | 2;
  /** The folder of the controller. */
  readonly memory: string;
  /** Undefined: nobody counts CPU time without changing how cores are shared. */
  readonly cpu: string | undefined;
}

/** A group, and what it held before the process began. */
export interface MeteredGroup extends JobGroup {
  readonly before: { readonly keptBytes: number; readonly cpuMs: number };
}

export interface GroupUsage {
  readonly rssBytes: number;
  /** Undefined where nobody counts it. */
  readonly cpuMs: number | undefined;
}

export class GroupMeter {
  readonly #group: JobGroup;
  readonly #stat: CachedFile;
  readonly #cpu: CachedFile | undefined;
  #before: MeteredGroup["before"];

  constructor(group: JobGroup, before: MeteredGroup["before"] = { keptBytes: 0, cpuMs: 0 }) {
    const { version, memory, cpu } = group;
    this.#group = group;
    this.#before = before;
    this.#stat = new CachedFile(join(memory, "memory.stat"));
    const cpuFile = version === 1 ? "cpuacct.usage" : "cpu.stat";
    this.#cpu = cpu === undefined ? undefined : new CachedFile(join(cpu, cpuFile));
  }

  /** A process begins in it: what is there now is none of its. @throws when the group cannot be read */
  begin(): MeteredGroup {
    this.#before = { keptBytes: this.#memory().keptBytes, cpuMs: this.#cpuMs() ?? 0 };
    return { ...this.#group, before: this.#before };
  }

  /** @throws when the group cannot be read */
  read(): GroupUsage {
    const { ownBytes, keptBytes } = this.#memory();
    const cpuMs = this.#cpuMs();
    return {
      rssBytes: ownBytes + Math.max(0, keptBytes - this.#before.keptBytes),
      cpuMs: cpuMs === undefined ? undefined : Math.max(0, cpuMs - this.#before.cpuMs),
    };
  }

  /** The processes in it now. */
  get members(): readonly number[] {
    return membersOf(this.#group);
  }

  close(): void {
    for (const file of [this.#stat, this.#cpu]) file?.close();
  }

  /**
   * `keptBytes` may outlive the processes: files in memory, and what the kernel keeps for them. The latter not of version 1,
   * which does not tell how much of it the kernel gives back under pressure.
   */
  #memory(): { ownBytes: number; keptBytes: number } {
    const stat = this.#stat.read();
    const { path } = this.#stat;
    if (this.#group.version === 1) {
      return { ownBytes: parseField(stat, "total_rss ", path), keptBytes: findField(stat, "total_shmem ") ?? 0 };
    }
    return {
      ownBytes: parseField(stat, "anon ", path),
      keptBytes: parseField(stat, "shmem ", path) + kernelBytes(stat),
    };
  }

  #cpuMs(): number | undefined {
    if (this.#cpu === undefined) return undefined;
    const text = this.#cpu.read();
    if (this.#group.version === 1) return parseWhole(text, this.#cpu.path) / 1e6;
    return parseField(text, "usage_usec ", this.#cpu.path) / 1e3;
  }
}

export interface Metered {
  readonly meter: GroupMeter;
  readonly group: MeteredGroup;
}

/** The meter of a group in which a process begins; undefined when the group cannot be read. */
export function beginMeter(group: JobGroup): Metered | undefined {
  const meter = new GroupMeter(group);
  try {
    return { meter, group: meter.begin() };
  } catch {
    meter.close();
    return undefined; // The process has ended, and its launcher has removed the group: nothing is left to measure.
  }
}

/** Of version 2, without what the kernel gives back under pressure. Older kernels tell parts alone. */
function kernelBytes(stat: string): number {
  const field = (name: string) => findField(stat, `${name} `) ?? 0;
  const all =
    findField(stat, "kernel ") ?? field("slab") + field("kernel_stack") + field("pagetables") + field("percpu");
  return Math.max(0, all - field("slab_reclaimable"));
}

/**
 * The processes in a group now, and in groups that they have made below it; none when it is gone. Those of other process
 * namespaces have no number here.
 */
export function membersOf({ memory }: Pick<JobGroup, "memory">): number[] {
  return [memory, ...groupsBelow(memory)].flatMap(pidsIn);
}

/** Those beside a process in its group. None when it is not there: it has ended, and the next one of its slot may be there. */
export function membersWith(pid: number, group: Pick<JobGroup, "memory">): number[] {
  const members = membersOf(group);
  return members.includes(pid) ? members : [];
}

/** The folders of all groups below one, the deepest first. Mostly there are none, which the number of links tells. */
export function groupsBelow(folder: string): string[] {
  try {
    if (statSync(folder).nlink === 2) return [];
    const entries = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return entries.map(({ name }) => join(folder, name)).flatMap((path) => [...groupsBelow(path), path]);
  } catch {
    return []; // Removed in between.
  }
}

/** What the list of one group says. */
export function pidsIn(folder: string): number[] {
  const list = readOptional(join(folder, "cgroup.procs")) ?? "";
  return list
    .split("\n")
    .map(Number)
    .filter((pid) => pid > 0);
}
