/**
 * What this worker may use and what is in use now: cgroup limits first, the host second, the tightest of all decides.
 *
 * No probe ever throws out of here (their states are in probes/probe-runner.ts). Memory is never unknown: without any
 * probe the runtime's own figures stand in, and `degraded` says so.
 */
import { availableParallelism, freemem, tmpdir, totalmem } from "node:os";
import { allCores, decideCoreShare } from "./effective-cores.ts";
import {
  MachineSensor,
  unknownMachine,
  type MachineProbes,
  type MachineReading,
  type PluginReading,
} from "./machine.ts";
import { CgroupMemoryProbe } from "./probes/cgroup-memory.ts";
import { CpuProbe, type CpuReading } from "./probes/cpu.ts";
import { DiskIoProbe } from "./probes/disk-io.ts";
import { GpuProbe } from "./probes/gpu.ts";
import { HeatProbe } from "./probes/heat.ts";
import { HostMemoryProbe } from "./probes/host-memory.ts";
import { NetworkProbe } from "./probes/network.ts";
import { OpenFilesProbe } from "./probes/open-files.ts";
import { PowerProbe } from "./probes/power.ts";
import { PressureProbe } from "./probes/pressure.ts";
import { ProbeRunner, type ProbeStatus } from "./probes/probe-runner.ts";
import type { MemoryLevel, PressureTotals, Probe, ProbeRoots } from "./probes/probe.ts";
import { ProcessLimitsProbe } from "./probes/process-limits.ts";
import { UserProcessesProbe } from "./probes/user-processes.ts";
import { RateWindow } from "./rate-window.ts";
import { Volumes } from "./volumes.ts";

/** CPUs in use over the last second or so, as ratios of what may be used. */
export interface CpuLoad {
  readonly utilisation: number;
  /** What others use: the utilisation without this worker and its jobs. */
  readonly others: number;
  /** Share of the granted CPU time for which the quota kept threads from running; undefined without a quota. */
  readonly throttled?: number | undefined;
}

/** Share of the time in which tasks were stalled, over the last half second or so. */
export interface Pressure {
  readonly scope: PressureTotals["scope"];
  readonly memorySome: number;
  readonly memoryFull: number;
  readonly cpuSome: number;
  /** Undefined where the kernel does not tell it. */
  readonly ioSome?: number | undefined;
  readonly ioFull?: number | undefined;
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
  /** Cores that may be promised: those that are granted, less what throttling showed to be used by others. */
  readonly cpuCores: number;
  readonly cpu: CpuLoad | undefined;
  readonly pressure: Pressure | undefined;
  readonly machine: MachineReading;
  readonly degraded: readonly Degraded[];
}

export interface CapacityProbes {
  readonly memory: readonly Probe<readonly MemoryLevel[]>[];
  readonly cpu: Probe<CpuReading>;
  readonly pressure: Probe<PressureTotals>;
  /** Without it nothing but memory, CPUs and stalls is known. */
  readonly machine?: MachineProbes;
}

export interface ProbeOptions {
  /** The folder that jobs have for their temporary files. */
  readonly scratch?: string;
  /** Probes of plugins. */
  readonly plugins?: readonly Probe<PluginReading>[];
  readonly gpu?: GpuProbe;
}

export function createProbes(roots: ProbeRoots, options: ProbeOptions = {}): CapacityProbes {
  const { scratch = tmpdir(), plugins = [], gpu = new GpuProbe() } = options;
  return {
    memory: [new CgroupMemoryProbe(roots), new HostMemoryProbe(roots)],
    cpu: new CpuProbe(roots),
    pressure: new PressureProbe(roots),
    machine: {
      disks: new DiskIoProbe(roots),
      processes: new ProcessLimitsProbe(roots),
      userProcesses: new UserProcessesProbe(roots),
      files: new OpenFilesProbe(roots),
      network: new NetworkProbe(roots),
      heat: new HeatProbe(roots),
      power: new PowerProbe(roots),
      gpu,
      volumes: new Volumes(scratch),
      plugins,
    },
  };
}

/** How often what changes slowly is looked at; each probe has a period of its own beside it. */
const MACHINE_MS = 250;
const CPU_WINDOW_MS = 1_000;
const PRESSURE_WINDOW_MS = 500;
const THROTTLE_WINDOW_MS = 2_000;

export class CapacitySensor {
  readonly #memory: readonly ProbeRunner<readonly MemoryLevel[]>[];
  readonly #cpu: ProbeRunner<CpuReading>;
  readonly #pressure: ProbeRunner<PressureTotals>;
  readonly #machine: MachineSensor | undefined;
  readonly #volumes: Volumes | undefined;
  readonly #cpuWindows = new Map<string, { busy: RateWindow; own: RateWindow }>();
  readonly #throttled = new RateWindow(THROTTLE_WINDOW_MS);
  readonly #stalls = {
    some: new RateWindow(PRESSURE_WINDOW_MS),
    full: new RateWindow(PRESSURE_WINDOW_MS),
    cpu: new RateWindow(PRESSURE_WINDOW_MS),
    ioSome: new RateWindow(PRESSURE_WINDOW_MS),
    ioFull: new RateWindow(PRESSURE_WINDOW_MS),
  };
  #nowMs = 0;
  #machineAtMs = -Infinity;
  #cpuCores = availableParallelism();
  #coreShare = allCores;
  #cpuLoad: CpuLoad | undefined;
  #stalled: Pressure | undefined;
  #lastMachine = unknownMachine;
  #faults: readonly Degraded[] = [];
  /** What was last read, for those who only look. */
  latest: CapacityReading | undefined;

  constructor(probes: CapacityProbes) {
    this.#memory = probes.memory.map((probe) => new ProbeRunner(probe));
    this.#cpu = new ProbeRunner(probes.cpu);
    this.#pressure = new ProbeRunner(probes.pressure);
    this.#machine = probes.machine === undefined ? undefined : new MachineSensor(probes.machine);
    this.#volumes = probes.machine?.volumes;
  }

  /**
   * Reads memory, and all else when it is due. `readOwnCpuMs` tells the CPU time that this worker and its jobs have used
   * so far: what is beyond it is the load of others. Both are read at one moment, or they would not match. With
   * `isForClaim` memory alone is read, and the last readings of all else stand.
   */
  read(nowMs: number, readOwnCpuMs: () => number, isForClaim = false): CapacityReading {
    this.#nowMs = nowMs;
    const memory = this.#memory.flatMap((runner) => {
      runner.poll(nowMs);
      return runner.latest(nowMs) ?? [];
    });
    if (!isForClaim) {
      this.#readCpu(nowMs, readOwnCpuMs);
      this.#readPressure(nowMs);
      this.#readMachine(nowMs);
    }
    const levels = memory.length > 0 ? memory : [runtimeLevel()];
    this.latest = {
      atMs: nowMs,
      memoryBytes: Math.min(...levels.map((level) => level.limitBytes)),
      memory: levels,
      cpuCores: this.#cpuCores,
      cpu: this.#cpuLoad,
      pressure: this.#stalled,
      machine: this.#lastMachine,
      degraded: this.#degraded(memory.length > 0),
    };
    return this.latest;
  }

  /** A job writes below this folder: its file system is looked at from now on. */
  useVolume(path: string): void {
    this.#volumes?.use(path, this.#nowMs);
  }

  /** How each probe does, as of the last reading. */
  statuses(): readonly ProbeStatus[] {
    const first = [...this.#memory, this.#cpu, this.#pressure].map((runner) => runner.status(this.#nowMs));
    return [...first, ...(this.#machine?.statuses(this.#nowMs) ?? [])];
  }

  close(): void {
    for (const runner of [...this.#memory, this.#cpu, this.#pressure]) runner.close();
    this.#machine?.close();
    this.#machineAtMs = -Infinity;
  }

  #readMachine(nowMs: number): void {
    if (this.#machine === undefined || Math.abs(nowMs - this.#machineAtMs) < MACHINE_MS) return;
    this.#machineAtMs = nowMs;
    this.#lastMachine = this.#machine.read(nowMs);
    this.#faults = faultsOf(this.#machine.statuses(nowMs));
  }

  #readCpu(nowMs: number, readOwnCpuMs: () => number): void {
    const isNew = this.#cpu.poll(nowMs);
    const reading = this.#cpu.latest(nowMs);
    if (reading === undefined) this.#cpuLoad = undefined;
    if (!isNew || reading === undefined) return;
    const ownCpuMs = readOwnCpuMs();
    const throttled = this.#shareThrottled(reading, nowMs);
    this.#coreShare = decideCoreShare(this.#coreShare, throttled, nowMs);
    this.#cpuCores = reading.cores * this.#coreShare.ratio;
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
            ...(throttled !== undefined && { throttled }),
          };
  }

  #shareThrottled({ throttledSeconds, cores }: CpuReading, nowMs: number): number | undefined {
    if (throttledSeconds === undefined) return undefined;
    this.#throttled.add(nowMs, (throttledSeconds * 1_000) / cores);
    const perMs = this.#throttled.perMs();
    return perMs === undefined ? undefined : ratio(perMs);
  }

  #cpuWindow(name: string): { busy: RateWindow; own: RateWindow } {
    const known = this.#cpuWindows.get(name);
    if (known !== undefined) return known;
    const made = { busy: new RateWindow(CPU_WINDOW_MS), own: new RateWindow(CPU_WINDOW_MS) };
    this.#cpuWindows.set(name, made);
    return made;
  }

  #readPressure(nowMs: number): void {
    const isNew = this.#pressure.poll(nowMs);
    const totals = this.#pressure.latest(nowMs);
    if (totals === undefined) this.#stalled = undefined;
    if (!isNew || totals === undefined) return;
    const share = (window: RateWindow, seconds: number): number => {
      window.add(nowMs, seconds * 1_000);
      return ratio(window.perMs() ?? 0);
    };
    const { ioSomeSeconds, ioFullSeconds } = totals;
    this.#stalled = {
      scope: totals.scope,
      memorySome: share(this.#stalls.some, totals.memorySomeSeconds),
      memoryFull: share(this.#stalls.full, totals.memoryFullSeconds),
      cpuSome: share(this.#stalls.cpu, totals.cpuSomeSeconds),
      ...(ioSomeSeconds !== undefined && { ioSome: share(this.#stalls.ioSome, ioSomeSeconds) }),
      ...(ioFullSeconds !== undefined && { ioFull: share(this.#stalls.ioFull, ioFullSeconds) }),
    };
  }

  #degraded(hasMemory: boolean): Degraded[] {
    const first = [...this.#memory, this.#cpu, this.#pressure].map((runner) => runner.status(this.#nowMs));
    const failed = [...faultsOf(first), ...this.#faults];
    if (hasMemory) return failed;
    const message = "no cgroup and no host figure can be read; the runtime's own total and free memory stand in";
    return [...failed, { code: "NO_SENSOR", sensor: "memory", message }];
  }
}

/** What is amiss: probes that cannot be read, and parts of those that can. */
function faultsOf(statuses: readonly ProbeStatus[]): Degraded[] {
  return statuses.flatMap(({ name, reason }) =>
    reason === undefined ? [] : [{ code: "NO_SENSOR", sensor: name, message: reason }],
  );
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
