/** What else a machine may run short of than memory and cores: disks, room, processes, files, heat, power, GPUs. */
import type { DiskTotals } from "./probes/disk-io.ts";
import type { Gpu } from "./probes/gpu.ts";
import type { Heat, HeatSensor } from "./probes/heat.ts";
import type { NetworkTotals } from "./probes/network.ts";
import type { PowerSource } from "./probes/power.ts";
import { ProbeRunner, type ProbeStatus } from "./probes/probe-runner.ts";
import type { CountLevel, Probe } from "./probes/probe.ts";
import type { MachineLoad, ProcessCounts } from "./probes/process-limits.ts";
import { RateWindow } from "./rate-window.ts";
import type { Volumes, WatchedVolume } from "./volumes.ts";

/** Per second, over the last seconds. */
export interface DiskRates {
  readonly scope: DiskTotals["scope"];
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly operations: number;
  /** Share of the time in which the busiest disk had something to do; undefined where it is not told. */
  readonly busy: number | undefined;
}

/** Per second, over the last seconds. */
export interface NetworkRates {
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface HeatReading {
  readonly sensors: readonly HeatSensor[];
  /** How often CPUs slowed down for heat, per second; undefined where nobody counts. */
  readonly throttlesPerSecond: number | undefined;
}

/** Named figures of a plugin. */
export type Figures = Readonly<Record<string, number>>;

/** What one reading of a plugin's probe is. */
export interface PluginReading {
  readonly plugin: string;
  readonly figures: Figures;
}

/** All of it as last known. What cannot be read is undefined, or not in its list. */
export interface MachineReading {
  readonly load: MachineLoad | undefined;
  readonly disks: readonly DiskRates[];
  readonly volumes: readonly WatchedVolume[];
  readonly processes: readonly CountLevel[];
  readonly files: readonly CountLevel[];
  readonly network: NetworkRates | undefined;
  readonly heat: HeatReading | undefined;
  readonly watts: number | undefined;
  readonly gpus: readonly Gpu[];
  /** By name of the plugin. */
  readonly plugins: Readonly<Partial<Record<string, Figures>>>;
}

export const unknownMachine: MachineReading = {
  load: undefined,
  disks: [],
  volumes: [],
  processes: [],
  files: [],
  network: undefined,
  heat: undefined,
  watts: undefined,
  gpus: [],
  plugins: {},
};

export interface MachineProbes {
  readonly disks: Probe<readonly DiskTotals[]>;
  readonly processes: Probe<ProcessCounts>;
  readonly userProcesses: Probe<CountLevel>;
  readonly files: Probe<readonly CountLevel[]>;
  readonly network: Probe<NetworkTotals>;
  readonly heat: Probe<Heat>;
  readonly power: Probe<readonly PowerSource[]>;
  readonly gpu: Probe<readonly Gpu[]>;
  readonly volumes: Volumes;
  readonly plugins: readonly Probe<PluginReading>[];
}

const RATE_MS = 3_000;
const HEAT_RATE_MS = 15_000;
const POWER_RATE_MS = 4_000;

export class MachineSensor {
  readonly #disks: ProbeRunner<readonly DiskTotals[]>;
  readonly #processes: ProbeRunner<ProcessCounts>;
  readonly #userProcesses: ProbeRunner<CountLevel>;
  readonly #files: ProbeRunner<readonly CountLevel[]>;
  readonly #network: ProbeRunner<NetworkTotals>;
  readonly #heat: ProbeRunner<Heat>;
  readonly #power: ProbeRunner<readonly PowerSource[]>;
  readonly #gpu: ProbeRunner<readonly Gpu[]>;
  readonly #plugins: readonly ProbeRunner<PluginReading>[];
  readonly #volumes: Volumes;
  readonly #rates = new Map<string, RateWindow>();

  constructor(probes: MachineProbes) {
    this.#disks = new ProbeRunner(probes.disks);
    this.#processes = new ProbeRunner(probes.processes);
    this.#userProcesses = new ProbeRunner(probes.userProcesses);
    this.#files = new ProbeRunner(probes.files);
    this.#network = new ProbeRunner(probes.network);
    this.#heat = new ProbeRunner(probes.heat);
    this.#power = new ProbeRunner(probes.power);
    this.#gpu = new ProbeRunner(probes.gpu);
    this.#plugins = probes.plugins.map((probe) => new ProbeRunner(probe));
    this.#volumes = probes.volumes;
  }

  /** Takes what is due, and tells all that is known. */
  read(nowMs: number): MachineReading {
    this.#volumes.poll(nowMs);
    for (const runner of [this.#processes, this.#userProcesses, this.#files, this.#gpu]) runner.poll(nowMs);
    const counts = this.#processes.latest(nowMs);
    const user = this.#userProcesses.latest(nowMs);
    return {
      load: counts?.load,
      disks: this.#readDisks(nowMs),
      volumes: this.#volumes.latest(nowMs),
      processes: [...(counts?.levels ?? []), ...(user === undefined ? [] : [user])],
      files: this.#files.latest(nowMs) ?? [],
      network: this.#readNetwork(nowMs),
      heat: this.#readHeat(nowMs),
      watts: this.#readPower(nowMs),
      gpus: this.#gpu.latest(nowMs) ?? [],
      plugins: this.#readPlugins(nowMs),
    };
  }

  statuses(nowMs: number): readonly ProbeStatus[] {
    return [...this.#runners().map((runner) => runner.status(nowMs)), ...this.#volumes.statuses(nowMs)];
  }

  close(): void {
    for (const runner of this.#runners()) runner.close();
    this.#volumes.close();
  }

  #runners(): readonly ProbeRunner<unknown>[] {
    const own = [this.#disks, this.#processes, this.#userProcesses, this.#files];
    return [...own, this.#network, this.#heat, this.#power, this.#gpu, ...this.#plugins];
  }

  #readDisks(nowMs: number): DiskRates[] {
    const isNew = this.#disks.poll(nowMs);
    const totals = this.#disks.latest(nowMs) ?? [];
    return totals.flatMap(({ scope, readBytes, writtenBytes, operations, busyMs }) => {
      const sums = { readBytes, writtenBytes, operations };
      if (isNew) for (const [name, sum] of Object.entries(sums)) this.#window(`${scope} ${name}`).add(nowMs, sum);
      if (isNew) for (const [disk, busy] of busyMs) this.#window(`busy ${disk}`).add(nowMs, busy);
      const [read, written, done] = Object.keys(sums).map((name) => this.#perSecond(`${scope} ${name}`));
      if (read === undefined || written === undefined || done === undefined) return [];
      const busy = [...busyMs.keys()].flatMap((disk) => this.#window(`busy ${disk}`).perMs() ?? []);
      const busiest = busy.length === 0 ? undefined : Math.min(1, Math.max(...busy));
      return [{ scope, readBytes: read, writtenBytes: written, operations: done, busy: busiest }];
    });
  }

  #readNetwork(nowMs: number): NetworkRates | undefined {
    const isNew = this.#network.poll(nowMs);
    const totals = this.#network.latest(nowMs);
    if (totals === undefined) return undefined;
    if (isNew) this.#window("received").add(nowMs, totals.receivedBytes);
    if (isNew) this.#window("sent").add(nowMs, totals.sentBytes);
    const [receivedBytes, sentBytes] = [this.#perSecond("received"), this.#perSecond("sent")];
    return receivedBytes === undefined || sentBytes === undefined ? undefined : { receivedBytes, sentBytes };
  }

  #readHeat(nowMs: number): HeatReading | undefined {
    const isNew = this.#heat.poll(nowMs);
    const heat = this.#heat.latest(nowMs);
    if (heat === undefined) return undefined;
    const { sensors, throttles } = heat;
    if (throttles === undefined) return { sensors, throttlesPerSecond: undefined };
    if (isNew) this.#window("throttles", HEAT_RATE_MS).add(nowMs, throttles);
    return { sensors, throttlesPerSecond: this.#perSecond("throttles") };
  }

  /** The sum of all sources; a counter that has wrapped counts again from its next reading. */
  #readPower(nowMs: number): number | undefined {
    const isNew = this.#power.poll(nowMs);
    const watts = this.#power.latest(nowMs)?.map((source) => {
      if (source.kind === "watts") return source.watts;
      const name = `energy ${source.name}`;
      if (isNew) this.#window(name, POWER_RATE_MS).add(nowMs, source.joules);
      return this.#perSecond(name);
    });
    const known = watts?.filter((value) => value !== undefined) ?? [];
    return known.length === 0 ? undefined : known.reduce((sum, value) => sum + value, 0);
  }

  #readPlugins(nowMs: number): MachineReading["plugins"] {
    const figures: Record<string, Figures> = {};
    for (const runner of this.#plugins) {
      runner.poll(nowMs);
      const latest = runner.latest(nowMs);
      if (latest !== undefined) figures[latest.plugin] = latest.figures;
    }
    return figures;
  }

  #window(name: string, windowMs = RATE_MS): RateWindow {
    const known = this.#rates.get(name);
    if (known !== undefined) return known;
    const made = new RateWindow(windowMs);
    this.#rates.set(name, made);
    return made;
  }

  #perSecond(name: string): number | undefined {
    const perMs = this.#window(name).perMs();
    return perMs === undefined ? undefined : perMs * 1_000;
  }
}
