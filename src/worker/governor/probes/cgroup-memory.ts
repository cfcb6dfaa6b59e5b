/** Memory limits and working sets of this process's cgroup and all its parents: the tightest one decides. */
import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import { CachedFile, findField, parseField, parseWhole } from "./cached-file.ts";
import { findCgroup } from "./cgroup-paths.ts";
import type { InlineProbe, MemoryLevel, ProbeRoots } from "./probe.ts";

/** Version 1 writes "no limit" as the largest page-aligned number, which depends on the page size. */
const V1_UNLIMITED = 2 ** 62;

/** Reads one cgroup folder. Undefined: it has no limit. */
interface Folder {
  read(): MemoryLevel | undefined;
  close(): void;
}

export class CgroupMemoryProbe implements InlineProbe<readonly MemoryLevel[]> {
  readonly name = "cgroup memory";
  readonly mode = "inline";
  readonly periodMs = 0;
  readonly staleMs = 0;
  readonly #roots: ProbeRoots;
  #folders: readonly Folder[] = [];

  constructor(roots: ProbeRoots) {
    this.#roots = roots;
  }

  open(): boolean {
    this.close();
    const place = findCgroup(this.#roots, "memory");
    if (place === undefined) return false;
    const name = (folder: string) => `cgroup /${relative(this.#roots.cgroup, folder)}`;
    this.#folders =
      place.version === 2
        ? place.folders
            .filter((folder) => existsSync(join(folder, "memory.current")))
            .map((folder) => new FolderV2(folder, name(folder)))
        : place.folders
            .filter((folder) => existsSync(join(folder, "memory.limit_in_bytes")))
            .map((folder, at) => new FolderV1(folder, name(folder), at === 0));
    return this.#folders.length > 0;
  }

  /** The levels that have a limit; empty when none has. Limits are read each time: they can be changed at run time. */
  read(): readonly MemoryLevel[] {
    return this.#folders.map((folder) => folder.read()).filter((level) => level !== undefined);
  }

  close(): void {
    for (const folder of this.#folders) folder.close();
    this.#folders = [];
  }
}

class FolderV2 implements Folder {
  readonly #name: string;
  readonly #max: CachedFile;
  readonly #high: CachedFile | undefined;
  readonly #current: CachedFile;
  readonly #stat: CachedFile;

  constructor(folder: string, name: string) {
    this.#name = name;
    this.#max = new CachedFile(join(folder, "memory.max"));
    const high = join(folder, "memory.high");
    this.#high = existsSync(high) ? new CachedFile(high) : undefined;
    this.#current = new CachedFile(join(folder, "memory.current"));
    this.#stat = new CachedFile(join(folder, "memory.stat"));
  }

  read(): MemoryLevel | undefined {
    // Beyond `high` the kernel slows a process down until it hardly moves: it is a limit as much as `max`.
    const limitBytes = Math.min(limitOf(this.#max), this.#high === undefined ? Infinity : limitOf(this.#high));
    if (limitBytes === Infinity) return undefined;
    const current = parseWhole(this.#current.read(), this.#current.path);
    const inactiveFile = parseField(this.#stat.read(), "inactive_file ", this.#stat.path);
    return { name: this.#name, limitBytes, usedBytes: Math.max(0, current - inactiveFile) };
  }

  close(): void {
    for (const file of [this.#max, this.#high, this.#current, this.#stat]) file?.close();
  }
}

class FolderV1 implements Folder {
  readonly #name: string;
  readonly #isOwn: boolean;
  readonly #limit: CachedFile;
  readonly #usage: CachedFile;
  readonly #stat: CachedFile;

  constructor(folder: string, name: string, isOwn: boolean) {
    this.#name = name;
    this.#isOwn = isOwn;
    this.#limit = new CachedFile(join(folder, "memory.limit_in_bytes"));
    this.#usage = new CachedFile(join(folder, "memory.usage_in_bytes"));
    this.#stat = new CachedFile(join(folder, "memory.stat"));
  }

  read(): MemoryLevel | undefined {
    const own = parseWhole(this.#limit.read(), this.#limit.path);
    if (own >= V1_UNLIMITED && !this.#isOwn) return undefined;
    const stat = this.#stat.read();
    // The kernel's minimum over all parents, those above the container's mount included, which we cannot see.
    const limitBytes = Math.min(own, findField(stat, "hierarchical_memory_limit ") ?? Infinity);
    if (limitBytes >= V1_UNLIMITED) return undefined;
    const usage = parseWhole(this.#usage.read(), this.#usage.path);
    const inactiveFile = parseField(stat, "total_inactive_file ", this.#stat.path);
    return { name: this.#name, limitBytes, usedBytes: Math.max(0, usage - inactiveFile) };
  }

  close(): void {
    for (const file of [this.#limit, this.#usage, this.#stat]) file.close();
  }
}

function limitOf(file: CachedFile): number {
  const text = file.read();
  return text.startsWith("max") ? Infinity : parseWhole(text, file.path);
}
