/** Power that the machine draws: from energy counters of CPU packages, else from sensors that tell watts. */
import { join } from "node:path";
import type { BackgroundProbe, ProbeRoots } from "./probe.ts";
import { listNames, readText, toAmount } from "./sys-files.ts";

/** What one source says: energy since some fixed moment, or watts now. */
export type PowerSource =
  | { readonly kind: "energy"; readonly name: string; readonly joules: number; readonly wrapsAtJoules: number }
  | { readonly kind: "watts"; readonly name: string; readonly watts: number };

interface PowerFile {
  readonly kind: PowerSource["kind"];
  readonly name: string;
  readonly path: string;
  readonly wrapsAtJoules: number;
}

const MICRO = 1e6;

export class PowerProbe implements BackgroundProbe<readonly PowerSource[]> {
  readonly name = "power";
  readonly mode = "background";
  readonly periodMs = 2_000;
  readonly staleMs = 20_000;
  readonly limitMs = 5_000;
  readonly #sys: string;
  #files: readonly PowerFile[] | undefined;
  caveat: string | undefined;

  constructor(roots: ProbeRoots) {
    this.#sys = roots.sys;
  }

  /** The counters of packages are read by the superuser alone on most machines: what cannot be read is not there. */
  async open(): Promise<boolean> {
    if (this.#files === undefined || this.#files.length === 0) {
      const packages = await findPackages(this.#sys);
      this.#files = packages.length > 0 ? packages : await findChips(this.#sys);
    }
    return this.#files.length > 0;
  }

  async read(): Promise<readonly PowerSource[]> {
    const files = this.#files ?? [];
    const values = await Promise.all(files.map(async ({ path }) => toAmount(await readText(path))));
    const silent = files.filter((_, at) => values[at] === undefined).map(({ name }) => name);
    this.caveat = silent.length === 0 ? undefined : `no figure from ${silent.join(", ")}`;
    if (silent.length === files.length) throw new Error(this.caveat ?? "no source of power figures");
    return files.flatMap(({ kind, name, wrapsAtJoules }, at): PowerSource[] => {
      const value = values[at];
      if (value === undefined) return [];
      return kind === "energy"
        ? [{ kind, name, joules: value / MICRO, wrapsAtJoules }]
        : [{ kind, name, watts: value / MICRO }];
    });
  }

  close(): void {
    this.#files = undefined;
  }
}

/** `intel-rapl:0` is a package; `intel-rapl:0:0` is a part of it and would be counted twice. */
async function findPackages(sys: string): Promise<PowerFile[]> {
  const folder = join(sys, "class/powercap");
  const names = (await listNames(folder)).filter((name) => /^[a-z-]+:\d+$/.test(name));
  const files: PowerFile[] = [];
  for (const name of names) {
    const title = (await readText(join(folder, name, "name"))) ?? name;
    const path = join(folder, name, "energy_uj");
    // `psys` is the whole platform and has the packages in it.
    if (title.startsWith("psys") || toAmount(await readText(path)) === undefined) continue;
    const wrapsAt = toAmount(await readText(join(folder, name, "max_energy_range_uj"))) ?? Infinity;
    files.push({ kind: "energy", name: title, path, wrapsAtJoules: wrapsAt / MICRO });
  }
  return files;
}

async function findChips(sys: string): Promise<PowerFile[]> {
  const files: PowerFile[] = [];
  for (const chip of await listNames(join(sys, "class/hwmon"))) {
    const folder = join(sys, "class/hwmon", chip);
    const inputs = (await listNames(folder)).filter((name) => /^power\d+_(?:average|input)$/.test(name));
    for (const input of inputs) {
      // A channel that has both is told once, by its average.
      if (input.endsWith("_input") && inputs.includes(input.replace("_input", "_average"))) continue;
      const path = join(folder, input);
      files.push({ kind: "watts", name: `${chip} ${input}`, path, wrapsAtJoules: Infinity });
    }
  }
  return files;
}
