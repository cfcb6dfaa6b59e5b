/** A tree of files that looks like the `/proc`, `/sys` and `/sys/fs/cgroup` of a machine that we do not have. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { ProbeRoots } from "../../src/worker/governor/probes/probe.ts";
import { Scratch } from "./scratch.ts";

export const V1_NONE = "9223372036854771712";

export interface HostFacts {
  readonly totalKiB?: number;
  readonly availableKiB?: number;
  readonly cpus?: number;
  readonly allowed?: string;
}

export class FakeMachine implements Disposable {
  readonly #scratch = new Scratch();
  readonly roots: ProbeRoots = {
    proc: join(this.#scratch.path, "proc"),
    cgroup: join(this.#scratch.path, "cgroup"),
    sys: join(this.#scratch.path, "sys"),
  };

  /** `paths` are the lines of `/proc/self/cgroup`. */
  constructor(paths: readonly string[], facts: HostFacts = {}) {
    const { totalKiB = 24_684_092, availableKiB = 24_000_000, cpus = 4, allowed = `0-${cpus - 1}` } = facts;
    this.write("proc/self/cgroup", `${paths.join("\n")}\n`);
    this.write("proc/self/status", `Name:\tnode\nCpus_allowed:\tff\nCpus_allowed_list:\t${allowed}\n`);
    this.host({ totalKiB, availableKiB });
    this.busy(Array.from({ length: cpus }, () => 0));
  }

  write(path: string, text: string): void {
    const absolute = join(this.#scratch.path, path);
    mkdirSync(dirname(absolute), { recursive: true });
    writeFileSync(absolute, text);
  }

  host({ totalKiB, availableKiB }: { totalKiB: number; availableKiB: number }): void {
    this.write("proc/meminfo", `MemTotal:       ${totalKiB} kB\nMemFree:  1 kB\nMemAvailable:   ${availableKiB} kB\n`);
  }

  /** Sets the busy ticks of each CPU. */
  busy(ticks: readonly number[]): void {
    const lines = ticks.map((busy, cpu) => `cpu${cpu} ${busy} 0 0 1000 50 0 0 0 0 0`);
    this.write("proc/stat", `cpu  0 0 0 0 0 0 0 0 0 0\n${lines.join("\n")}\nintr 1 2 3\n`);
  }

  /** A version 2 folder with its memory files; `folder` below the mount, `/` for the mount itself. */
  v2(folder: string, facts: { max?: string; high?: string; current?: number; inactiveFile?: number }): void {
    const at = join("cgroup", folder);
    this.write("cgroup/cgroup.controllers", "cpu memory\n");
    this.write(join(at, "memory.max"), `${facts.max ?? "max"}\n`);
    this.write(join(at, "memory.high"), `${facts.high ?? "max"}\n`);
    this.write(join(at, "memory.current"), `${facts.current ?? 0}\n`);
    this.write(join(at, "memory.stat"), `anon 5\nfile 9\ninactive_anon 7\ninactive_file ${facts.inactiveFile ?? 0}\n`);
  }

  v1(folder: string, facts: { limit: string; usage?: number; inactiveFile?: number; hierarchical?: string }): void {
    const at = join("cgroup/memory", folder);
    this.write(join(at, "memory.limit_in_bytes"), `${facts.limit}\n`);
    this.write(join(at, "memory.usage_in_bytes"), `${facts.usage ?? 0}\n`);
    const { hierarchical = V1_NONE, inactiveFile = 0 } = facts;
    const stat = `inactive_file 1\nhierarchical_memory_limit ${hierarchical}\ntotal_inactive_file ${inactiveFile}\n`;
    this.write(join(at, "memory.stat"), stat);
  }

  /** A line of `/proc/diskstats` per disk: reads, sectors read, writes, sectors written, busy ms. */
  disks(disks: Readonly<Record<string, readonly [number, number, number, number, number]>>): void {
    const lines = Object.entries(disks).map(
      ([name, [reads, sectorsRead, writes, sectorsWritten, busyMs]]) =>
        `   8       0 ${name} ${reads} 0 ${sectorsRead} 0 ${writes} 0 ${sectorsWritten} 0 0 ${busyMs} 0`,
    );
    this.write("proc/diskstats", `${lines.join("\n")}\n`);
  }

  /** The path of something in it. */
  path(...parts: readonly string[]): string {
    return join(this.#scratch.path, ...parts);
  }

  [Symbol.dispose](): void {
    this.#scratch[Symbol.dispose]();
  }
}
