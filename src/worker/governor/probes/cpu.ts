/** How many cores this process may use, as a fraction, and how much of them is in use. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CachedFile, findField, parseField, parseWhole, readOptional, unexpected } from "./cached-file.ts";
import { findCgroup } from "./cgroup-paths.ts";
import type { CpuSource, InlineProbe, ProbeRoots } from "./probe.ts";
import { clockTicks } from "./system-constants.ts";

export interface CpuReading {
  /** min(quota of every parent, cpuset, affinity, what the host has), such as 1.5. */
  readonly cores: number;
  readonly sources: readonly CpuSource[];
  /** Time that runnable threads were kept from running by the quota, since some fixed moment; undefined without one. */
  readonly throttledSeconds: number | undefined;
}

export class CpuProbe implements InlineProbe<CpuReading> {
  readonly name = "cpu";
  readonly mode = "inline";
  readonly periodMs = 250;
  readonly staleMs = 5_000;
  readonly #roots: ProbeRoots;
  readonly #hostStat: CachedFile;
  #quota: QuotaUsage | undefined;
  #cpus: ReadonlySet<number> = new Set();

  constructor(roots: ProbeRoots) {
    this.#roots = roots;
    this.#hostStat = new CachedFile(join(roots.proc, "stat"));
  }

  /** Reads the limits; the sensor calls it again now and then, because they can be changed at run time. */
  open(): boolean {
    this.close();
    if (!existsSync(this.#hostStat.path)) return false;
    this.#quota = findTightestQuota(this.#roots);
    this.#cpus = findUsableCpus(this.#roots, onlineCpus(this.#hostStat.read()));
    return true;
  }

  read(): CpuReading {
    const sources: CpuSource[] = [this.#readHost()];
    if (this.#quota !== undefined) sources.push(this.#quota.read());
    const throttledSeconds = this.#quota?.readThrottled();
    return { cores: Math.min(...sources.map((source) => source.cores)), sources, throttledSeconds };
  }

  close(): void {
    this.#hostStat.close();
    this.#quota?.close();
    this.#quota = undefined;
  }

  #readHost(): CpuSource {
    let busyTicks = 0;
    let cores = 0;
    for (const [cpu, ticks] of cpuLines(this.#hostStat.read())) {
      if (!this.#cpus.has(cpu)) continue;
      cores += 1;
      busyTicks += ticks;
    }
    if (cores === 0) throw unexpected(this.#hostStat.path, "lines of the CPUs that this process may use", "none");
    return { name: "host", cores, busySeconds: busyTicks / clockTicks() };
  }
}

interface QuotaFiles {
  readonly usage: CachedFile;
  readonly usedSeconds: (text: string) => number;
  /** The file that counts throttling, and its key with the unit of that in a second. */
  readonly stat: CachedFile | undefined;
  readonly throttledKey: string;
  readonly throttledPerSecond: number;
}

/** The usage of the cgroup that has the tightest quota. */
class QuotaUsage {
  readonly cores: number;
  readonly #files: QuotaFiles;

  constructor(cores: number, files: QuotaFiles) {
    this.cores = cores;
    this.#files = files;
  }

  read(): CpuSource {
    const { usage, usedSeconds } = this.#files;
    return { name: "cgroup", cores: this.cores, busySeconds: usedSeconds(usage.read()) };
  }

  readThrottled(): number | undefined {
    const { stat, throttledKey, throttledPerSecond } = this.#files;
    const throttled = stat === undefined ? undefined : findField(stat.read(), throttledKey);
    return throttled === undefined ? undefined : throttled / throttledPerSecond;
  }

  close(): void {
    this.#files.usage.close();
    this.#files.stat?.close();
  }
}

function findTightestQuota(roots: ProbeRoots): QuotaUsage | undefined {
  const place = findCgroup(roots, "cpu");
  if (place === undefined) return undefined;
  const quotas = place.folders.map((folder, depth) => ({
    folder,
    depth,
    cores: place.version === 2 ? quotaV2(folder) : quotaV1(folder),
  }));
  const tightest = quotas.reduce((best, quota) => (quota.cores < best.cores ? quota : best));
  if (tightest.cores === Infinity) return undefined;
  const statPath = join(tightest.folder, "cpu.stat");
  const stat = existsSync(statPath) ? new CachedFile(statPath) : undefined;
  if (place.version === 2) {
    const usage = stat ?? new CachedFile(statPath);
    const usedSeconds = (text: string) => parseField(text, "usage_usec ", statPath) / 1e6;
    return new QuotaUsage(tightest.cores, {
      ...{ usage, usedSeconds, stat },
      ...{ throttledKey: "throttled_usec ", throttledPerSecond: 1e6 },
    });
  }
  // Version 1 accounts for time in a hierarchy of its own: the folder at the same height above this process.
  const accounting = findCgroup(roots, "cpuacct")?.folders.at(tightest.depth);
  if (accounting === undefined) throw unexpected(roots.cgroup, "a cpuacct hierarchy beside the cpu quota", "none");
  const usage = new CachedFile(join(accounting, "cpuacct.usage"));
  const usedSeconds = (text: string) => parseWhole(text, usage.path) / 1e9;
  return new QuotaUsage(tightest.cores, {
    ...{ usage, usedSeconds, stat },
    ...{ throttledKey: "throttled_time ", throttledPerSecond: 1e9 },
  });
}

function quotaV2(folder: string): number {
  const [quota = "max", period = "100000"] = (readOptional(join(folder, "cpu.max")) ?? "max").trim().split(" ");
  return quota === "max" ? Infinity : Number(quota) / Number(period);
}

function quotaV1(folder: string): number {
  const quota = Number(readOptional(join(folder, "cpu.cfs_quota_us")) ?? -1);
  const period = Number(readOptional(join(folder, "cpu.cfs_period_us")) ?? 100_000);
  return quota > 0 && period > 0 ? quota / period : Infinity;
}

function findUsableCpus(roots: ProbeRoots, online: ReadonlySet<number>): ReadonlySet<number> {
  const affinity = /^Cpus_allowed_list:\s*(\S+)/m.exec(readOptional(join(roots.proc, "self/status")) ?? "")?.[1];
  const folder = findCgroup(roots, "cpuset")?.folders[0];
  const names = ["cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"];
  const cpuset = names.map((name) => folder && readOptional(join(folder, name))?.trim()).find((text) => text);
  let usable = online;
  for (const list of [affinity, cpuset]) {
    if (list === undefined || list === "") continue;
    const allowed = parseCpuList(list);
    const both = new Set([...usable].filter((cpu) => allowed.has(cpu)));
    // A list that names no CPU that is on says nothing: keep what we have rather than claim that there is none.
    if (both.size > 0) usable = both;
  }
  return usable;
}

/** The CPUs of a list such as `0-3,8`. */
function parseCpuList(list: string): ReadonlySet<number> {
  const cpus = new Set<number>();
  for (const part of list.split(",")) {
    const [first = NaN, last = first] = part.split("-").map(Number);
    for (let cpu = first; cpu <= last; cpu += 1) cpus.add(cpu);
  }
  return cpus;
}

function onlineCpus(stat: string): ReadonlySet<number> {
  return new Set([...cpuLines(stat)].map(([cpu]) => cpu));
}

/** Pairs of (CPU, busy ticks). Waiting for a disk is idle time; time that the hypervisor took is not ours to use. */
function* cpuLines(stat: string): Generator<[number, number]> {
  for (let at = stat.indexOf("\ncpu"); at >= 0; at = stat.indexOf("\ncpu", at + 1)) {
    const end = stat.indexOf("\n", at + 1);
    const [cpu = NaN, user = 0, nice = 0, system = 0, _idle, _iowait, irq = 0, softirq = 0, steal = 0] = stat
      .slice(at + 4, end < 0 ? undefined : end)
      .split(" ")
      .map(Number);
    yield [cpu, user + nice + system + irq + softirq + steal];
  }
}

/** From the text of `/proc/PID/stat`: CPU time of a process and of all its children that have ended, and its threads. */
export function parseProcessStat(stat: string): { readonly cpuMs: number; readonly threads: number } {
  // The name in parentheses may hold spaces and parentheses: count fields from its end.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = [11, 12, 13, 14].map((at) => Number(fields[at] ?? 0));
  const cpuMs = (ticks.reduce((sum, value) => sum + value, 0) / clockTicks()) * 1_000;
  return { cpuMs, threads: Number(fields[17] ?? 1) };
}
