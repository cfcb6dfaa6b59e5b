/** The memory of the whole host. Read in containers too: a host whose memory is sold twice runs out before a cgroup. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { KiB } from "../../../contract/resources.ts";
import { CachedFile, findField, parseField } from "./cached-file.ts";
import type { InlineProbe, MemoryLevel, ProbeRoots } from "./probe.ts";

export class HostMemoryProbe implements InlineProbe<readonly MemoryLevel[]> {
  readonly name = "host memory";
  readonly mode = "inline";
  readonly periodMs = 0;
  readonly staleMs = 0;
  readonly #file: CachedFile;

  constructor(roots: ProbeRoots) {
    this.#file = new CachedFile(join(roots.proc, "meminfo"));
  }

  open(): boolean {
    return existsSync(this.#file.path);
  }

  read(): readonly MemoryLevel[] {
    const text = this.#file.read();
    const totalKiB = parseField(text, "MemTotal:", this.#file.path);
    // Kernels before 3.14 have no MemAvailable.
    const availableKiB = findField(text, "MemAvailable:") ?? parseField(text, "MemFree:", this.#file.path);
    return [{ name: "host", limitBytes: totalKiB * KiB, usedBytes: Math.max(0, totalKiB - availableKiB) * KiB }];
  }

  close(): void {
    this.#file.close();
  }
}
