/** How long tasks were stalled for memory and for CPU (PSI). `total` is fresh on each read, unlike the averages. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CachedFile, unexpected } from "./cached-file.ts";
import { findUnified } from "./cgroup-paths.ts";
import type { PressureTotals, Probe, ProbeRoots } from "./probe.ts";

export class PressureProbe implements Probe<PressureTotals> {
  readonly name = "pressure";
  readonly #roots: ProbeRoots;
  #scope: PressureTotals["scope"] = "host";
  #memory: CachedFile | undefined;
  #cpu: CachedFile | undefined;

  constructor(roots: ProbeRoots) {
    this.#roots = roots;
  }

  open(): boolean {
    this.close();
    const place = findUnified(this.#roots);
    const own = place?.isRoot === false ? place.folders[0] : undefined;
    if (own !== undefined && this.#use("cgroup", join(own, "memory.pressure"), join(own, "cpu.pressure"))) return true;
    return this.#use("host", join(this.#roots.proc, "pressure/memory"), join(this.#roots.proc, "pressure/cpu"));
  }

  read(): PressureTotals {
    if (this.#memory === undefined || this.#cpu === undefined) throw new Error("the pressure probe is not open");
    const memory = this.#memory.read();
    return {
      scope: this.#scope,
      memorySomeSeconds: totalSeconds(memory, "some", this.#memory.path),
      memoryFullSeconds: totalSeconds(memory, "full", this.#memory.path),
      cpuSomeSeconds: totalSeconds(this.#cpu.read(), "some", this.#cpu.path),
    };
  }

  close(): void {
    this.#memory?.close();
    this.#cpu?.close();
    this.#memory = undefined;
    this.#cpu = undefined;
  }

  #use(scope: PressureTotals["scope"], memoryPath: string, cpuPath: string): boolean {
    if (!existsSync(memoryPath) || !existsSync(cpuPath)) return false;
    this.#scope = scope;
    this.#memory = new CachedFile(memoryPath);
    this.#cpu = new CachedFile(cpuPath);
    return true;
  }
}

function totalSeconds(text: string, kind: "some" | "full", path: string): number {
  const line = text.split("\n").find((candidate) => candidate.startsWith(kind));
  const micros = Number(/ total=(\d+)/.exec(line ?? "")?.[1] ?? NaN);
  if (!Number.isFinite(micros)) throw unexpected(path, `a line "${kind} … total="`, text);
  return micros / 1e6;
}
