/**
 * What this worker may use and what is in use now: cgroup limits first, the host second, the tightest of all decides.
 *
 * Each probe is in one of three states: `reading`; `absent` (nothing of the kind here, looked for again now and then);
 * `failed` (it was there and cannot be read: said in `degraded`, tried again now and then). No probe ever throws out of
 * here. Memory is never unknown: without any probe the runtime's own figures stand in, and `degraded` says so.
 */
import { freemem, totalmem, availableParallelism } from "node:os";
import { messageOf } from "../../contract/errors.ts";
import { CgroupMemoryProbe } from "./probes/cgroup-memory.ts";
import { CpuProbe, type CpuReading } from "./probes/cpu.ts";
import { HostMemoryProbe } from "./probes/host-memory.ts";
import { PressureProbe } from "./probes/pressure.ts";
import type { MemoryLevel, PressureTotals, Probe, ProbeRoots } from "./probes/probe.ts";
import { RateWindow } from "./rate-window.ts";

/** CPUs in use over the last second or so, as ratios of what may be used. */
export interface CpuLoad {
  readonly utilisation: number;
  /** What others use: the utilisation without this worker and its jobs. */
  readonly others: number;
}

/** Share of the time in which tasks were stalled, over the last half second or so. */
export interface Pressure {
  readonly scope: PressureTotals["scope"];
  readonly memorySome: number;
  readonly memoryFull: number;
  readonly cpuSome: number;
}

/** A sensor that does not give what it should, and what stands in for it. */
export interface Degraded {
  readonly code: "NO_SENSOR";
  readonly sensor: string;
  readonly message: string;
}

export interface CapacityReading {
  readonly atMs: number;
  /** The smallest limit. */
  readonly memoryBytes: number;
  readonly memory: readonly MemoryLevel[];
  readonly cpuCores: number;
  readonly cpu: CpuLoad | undefined;
  readonly pressure: Pressure | undefined;
  readonly degraded: readonly Degraded[];
}

export interface CapacityProbes {
  readonly memory: readonly Probe<readonly MemoryLevel[]>[];
  readonly cpu: Probe<CpuReading>;
  readonly pressure: Probe<PressureTotals>;
}

export function createProbes(roots: ProbeRoots): CapacityProbes {
  return {
    memory: [new CgroupMemoryProbe(roots), new HostMemoryProbe(roots)],
    cpu: new CpuProbe(roots),
    pressure: new PressureProbe(roots),
  };
}

const REOPEN_MS = 5_000;
const SLOW_MS = 250;
const CPU_WINDOW_MS = 1_000;
const PRESSURE_WINDOW_MS = 500;

export class CapacitySensor {
  readonly #memory: readonly Watched<readonly MemoryLevel[]>[];
  readonly #cpu: Watched<CpuReading>;
  readonly #pressure: Watched<PressureTotals>;
  readonly #cpuWindows = new Map<string, { busy: RateWindow; own: RateWindow }>();
  readonly #stalls = {
    some: new RateWindow(PRESSURE_WINDOW_MS),
    full: new RateWindow(PRESSURE_WINDOW_MS),
    cpu: new RateWindow(PRESSURE_WINDOW_MS),
  };
  #slowAtMs = -Infinity;
  #cpuCores = availableParallelism();
  #cpuLoad: CpuLoad | undefined;
  #stalled: Pressure | undefined;

  constructor(probes: CapacityProbes) {
    this.#memory = probes.memory.map((probe) => new Watched(probe));
    this.#cpu = new Watched(probes.cpu);
    this.#pressure = new Watched(probes.pressure);
  }

  /**
   * Reads memory, and, when that is due, CPU and pressure. `readOwnCpuMs` tells the CPU time that this worker and its jobs
   * have used so far: what is beyond it is the load of others. Both are read at one moment, or they would not match.
   * CPU and pressure are due when they are `slowAgeMs` old.
   */
  read(nowMs: number, readOwnCpuMs: () => number, slowAgeMs = SLOW_MS): CapacityReading {
    const memory = this.#memory.flatMap((watched) => watched.read(nowMs) ?? []);
    if (nowMs - this.#slowAtMs >= slowAgeMs) {
      this.#slowAtMs = nowMs;
      this.#readCpu(nowMs, readOwnCpuMs());
      this.#readPressure(nowMs);
    }
    const levels = memory.length > 0 ? memory : [runtimeLevel()];
    return {
      atMs: nowMs,
      memoryBytes: Math.min(...levels.map((level) => level.limitBytes)),
      memory: levels,
      cpuCores: this.#cpuCores,
      cpu: this.#cpuLoad,
      pressure: this.#stalled,
      degraded: this.#degraded(memory.length > 0),
    };
  }

  close(): void {
    for (const watched of [...this.#memory, this.#cpu, this.#pressure]) watched.close();
  }

  #readCpu(nowMs: number, ownCpuMs: number): void {
    const reading = this.#cpu.read(nowMs);
    if (reading === undefined) {
      this.#cpuLoad = undefined;
      return;
    }
    this.#cpuCores = reading.cores;
    const ratios = reading.sources.map((source) => {
      const windows = this.#cpuWindow(source.name);
      const busyMs = source.busySeconds * 1_000;
      windows.busy.add(nowMs, busyMs / source.cores);
      windows.own.add(nowMs, ownCpuMs / source.cores);
      const busy = windows.busy.perMs();
      const own = windows.own.perMs() ?? 0;
      return busy === undefined ? undefined : { busy: ratio(busy), others: ratio(busy - own) };
    });
    const known = ratios.filter((value) => value !== undefined);
    this.#cpuLoad =
      known.length === 0
        ? undefined
        : {
            utilisation: Math.max(...known.map((value) => value.busy)),
            others: Math.max(...known.map((value) => value.others)),
          };
  }

  #cpuWindow(name: string): { busy: RateWindow; own: RateWindow } {
    const known = this.#cpuWindows.get(name);
    if (known !== undefined) return known;
    const made = { busy: new RateWindow(CPU_WINDOW_MS), own: new RateWindow(CPU_WINDOW_MS) };
    this.#cpuWindows.set(name, made);
    return made;
  }

  #readPressure(nowMs: number): void {
    const totals = this.#pressure.read(nowMs);
    if (totals === undefined) {
      this.#stalled = undefined;
      return;
    }
    this.#stalls.some.add(nowMs, totals.memorySomeSeconds * 1_000);
    this.#stalls.full.add(nowMs, totals.memoryFullSeconds * 1_000);
    this.#stalls.cpu.add(nowMs, totals.cpuSomeSeconds * 1_000);
    this.#stalled = {
      scope: totals.scope,
      memorySome: ratio(this.#stalls.some.perMs() ?? 0),
      memoryFull: ratio(this.#stalls.full.perMs() ?? 0),
      cpuSome: ratio(this.#stalls.cpu.perMs() ?? 0),
    };
  }

  #degraded(hasMemory: boolean): Degraded[] {
    const failed = [...this.#memory, this.#cpu, this.#pressure].flatMap((watched) => watched.fault ?? []);
    if (hasMemory) return failed;
    const message = "no cgroup and no host figure can be read; the runtime's own total and free memory stand in";
    return [...failed, { code: "NO_SENSOR", sensor: "memory", message }];
  }
}

/** A probe that may be absent or fail without anybody else failing. */
class Watched<Reading> {
  readonly #probe: Probe<Reading>;
  #isOpen = false;
  #openedAtMs = -Infinity;
  fault: Degraded | undefined;

  constructor(probe: Probe<Reading>) {
    this.#probe = probe;
  }

  read(nowMs: number): Reading | undefined {
    try {
      // Limits, quotas and CPU sets can be changed at run time, and files that failed may be back.
      if (nowMs - this.#openedAtMs >= REOPEN_MS) {
        this.#openedAtMs = nowMs;
        this.#isOpen = this.#probe.open();
      }
      if (!this.#isOpen) return undefined;
      const reading = this.#probe.read();
      this.fault = undefined;
      return reading;
    } catch (error) {
      this.#isOpen = false;
      this.fault = { code: "NO_SENSOR", sensor: this.#probe.name, message: messageOf(error) };
      return undefined;
    }
  }

  close(): void {
    this.#probe.close();
    this.#isOpen = false;
    this.#openedAtMs = -Infinity;
  }
}

function runtimeLevel(): MemoryLevel {
  const total = totalmem();
  const constrained = process.constrainedMemory();
  const isConstrained = constrained > 0 && constrained < total;
  const limitBytes = isConstrained ? constrained : total;
  const freeBytes = isConstrained ? process.availableMemory() : freemem();
  return { name: "runtime", limitBytes, usedBytes: Math.max(0, limitBytes - freeBytes) };
}

function ratio(value: number): number {
  return Math.min(1, Math.max(0, value));
}
