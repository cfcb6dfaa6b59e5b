/** How long tasks were stalled for memory, for CPU and for disks (PSI). `total` is fresh on each read, unlike the averages. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CachedFile, unexpected } from "./cached-file.ts";
import { findUnified } from "./cgroup-paths.ts";
import type { InlineProbe, PressureTotals, ProbeRoots } from "./probe.ts";

export class PressureProbe implements InlineProbe<PressureTotals> {
  readonly name = "pressure";
  readonly mode = "inline";
  readonly periodMs = 250;
  readonly staleMs = 5_000;
  readonly #roots: ProbeRoots;
  #scope: PressureTotals["scope"] = "host";
  #memory: CachedFile | undefined;
  #cpu: CachedFile | undefined;
  #io: CachedFile | undefined;

  constructor(roots: ProbeRoots) {
    this.#roots = roots;
  }

  open(): boolean {
    this.close();
    const place = findUnified(this.#roots);
    const own = place?.isRoot === false ? place.folders[0] : undefined;
    const inCgroup = (kind: string) => join(own ?? "", `${kind}.pressure`);
    if (own !== undefined && this.#use("cgroup", inCgroup)) return true;
    return this.#use("host", (kind) => join(this.#roots.proc, "pressure", kind));
  }

  read(): PressureTotals {
    if (this.#memory === undefined || this.#cpu === undefined) throw new Error("the pressure probe is not open");
    const memory = this.#memory.read();
    const io = this.#io?.read();
    const ioPath = this.#io?.path ?? "";
    return {
      scope: this.#scope,
      memorySomeSeconds: totalSeconds(memory, "some", this.#memory.path),
      memoryFullSeconds: totalSeconds(memory, "full", this.#memory.path),
      cpuSomeSeconds: totalSeconds(this.#cpu.read(), "some", this.#cpu.path),
      ioSomeSeconds: io === undefined ? undefined : totalSeconds(io, "some", ioPath),
      ioFullSeconds: io === undefined ? undefined : totalSeconds(io, "full", ioPath),
    };
  }

  close(): void {
    this.#memory?.close();
    this.#cpu?.close();
    this.#io?.close();
    this.#memory = this.#cpu = this.#io = undefined;
  }

  #use(scope: PressureTotals["scope"], pathOf: (kind: "memory" | "cpu" | "io") => string): boolean {
    if (!existsSync(pathOf("memory")) || !existsSync(pathOf("cpu"))) return false;
    this.#scope = scope;
    this.#memory = new CachedFile(pathOf("memory"));
    this.#cpu = new CachedFile(pathOf("cpu"));
    if (existsSync(pathOf("io"))) this.#io = new CachedFile(pathOf("io"));
    return true;
  }
}

function totalSeconds(text: string, kind: "some" | "full", path: string): number {
  const line = text.split("\n").find((candidate) => candidate.startsWith(kind));
  const micros = Number(/ total=(\d+)/.exec(line ?? "")?.[1] ?? NaN);
  if (!Number.isFinite(micros)) throw unexpected(path, `a line "${kind} … total="`, text);
  return micros / 1e6;
}
