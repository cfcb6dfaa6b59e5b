/**
 * How hot the machine is, and whether its CPUs slow themselves down for that. Sensor chips may take milliseconds to
 * answer, or fail one by one: each is asked off the tick, and one that fails takes nothing from the others.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CachedFile } from "./cached-file.ts";
import type { BackgroundProbe, ProbeRoots } from "./probe.ts";
import { listNames, readText } from "./sys-files.ts";

export interface Heat {
  readonly sensors: readonly HeatSensor[];
  /** How often CPUs slowed down for heat, since some fixed moment; undefined where nobody counts. */
  readonly throttles: number | undefined;
}

export interface HeatSensor {
  readonly name: string;
  readonly celsius: number;
  /** Where the machine itself would switch off. */
  readonly criticalCelsius: number | undefined;
}

/** What lies beyond is no temperature of a running machine: a chip that is not wired up says such things. */
const COLDEST = -30;
const HOTTEST = 150;
/** Critical values below this are placeholders. */
const LEAST_CRITICAL = 50;

interface HeatFile {
  readonly name: string;
  readonly path: string;
  readonly criticalCelsius: number | undefined;
}

export class HeatProbe implements BackgroundProbe<Heat> {
  readonly name = "heat";
  readonly mode = "background";
  readonly periodMs = 5_000;
  readonly staleMs = 30_000;
  readonly limitMs = 5_000;
  readonly #sys: string;
  #files: readonly HeatFile[] | undefined;
  #counters: readonly CachedFile[] = [];
  caveat: string | undefined;

  constructor(roots: ProbeRoots) {
    this.#sys = roots.sys;
  }

  /** Looks for sensors once: they do not come and go while a machine runs. */
  async open(): Promise<boolean> {
    this.#files ??= [...(await findZones(this.#sys)), ...(await findChips(this.#sys))];
    if (this.#counters.length === 0) this.#counters = await findCounters(this.#sys);
    return this.#files.length > 0 || this.#counters.length > 0;
  }

  async read(signal: AbortSignal): Promise<Heat> {
    const sensors: HeatSensor[] = [];
    const silent: string[] = [];
    for (const { name, path, criticalCelsius } of this.#files ?? []) {
      signal.throwIfAborted();
      const celsius = Number(await readText(path)) / 1_000;
      if (celsius > COLDEST && celsius < HOTTEST) sensors.push({ name, celsius, criticalCelsius });
      else silent.push(name);
    }
    this.caveat = silent.length === 0 ? undefined : `no temperature from ${silent.join(", ")}`;
    if (sensors.length === 0 && silent.length > 0) throw new Error(this.caveat);
    return { sensors, throttles: this.#countThrottles() };
  }

  close(): void {
    this.#files = undefined;
    for (const counter of this.#counters) counter.close();
    this.#counters = [];
  }

  /** These are plain memory of the kernel, one per CPU: many, and quick. */
  #countThrottles(): number | undefined {
    if (this.#counters.length === 0) return undefined;
    return this.#counters.reduce((sum, counter) => sum + Number(counter.read()), 0);
  }
}

async function findZones(sys: string): Promise<HeatFile[]> {
  const zones = (await listNames(join(sys, "class/thermal"))).filter((name) => name.startsWith("thermal_zone"));
  return Promise.all(
    zones.map(async (zone) => {
      const folder = join(sys, "class/thermal", zone);
      const type = (await readText(join(folder, "type"))) ?? zone;
      return { name: `${zone} ${type}`, path: join(folder, "temp"), criticalCelsius: await criticalOf(folder) };
    }),
  );
}

async function criticalOf(folder: string): Promise<number | undefined> {
  const types = (await listNames(folder)).filter((name) => /^trip_point_\d+_type$/.test(name));
  for (const name of types) {
    if ((await readText(join(folder, name))) !== "critical") continue;
    return plausible(await readText(join(folder, name.replace("_type", "_temp"))));
  }
  return undefined;
}

async function findChips(sys: string): Promise<HeatFile[]> {
  const files: HeatFile[] = [];
  for (const chip of await listNames(join(sys, "class/hwmon"))) {
    const folder = join(sys, "class/hwmon", chip);
    const chipName = (await readText(join(folder, "name"))) ?? chip;
    for (const input of (await listNames(folder)).filter((name) => /^temp\d+_input$/.test(name))) {
      const of = (what: string) => readText(join(folder, input.replace("input", what)));
      const label = (await of("label")) ?? input.replace("_input", "");
      const criticalCelsius = plausible(await of("crit"));
      files.push({ name: `${chip} ${chipName} ${label}`, path: join(folder, input), criticalCelsius });
    }
  }
  return files;
}

async function findCounters(sys: string): Promise<CachedFile[]> {
  const folder = join(sys, "devices/system/cpu");
  const cpus = (await listNames(folder)).filter((name) => /^cpu\d+$/.test(name));
  return cpus
    .map((cpu) => join(folder, cpu, "thermal_throttle/core_throttle_count"))
    .filter((path) => existsSync(path))
    .map((path) => new CachedFile(path));
}

function plausible(text: string | undefined): number | undefined {
  const celsius = Number(text) / 1_000;
  return celsius >= LEAST_CRITICAL && celsius < HOTTEST ? celsius : undefined;
}
