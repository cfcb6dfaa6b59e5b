/** How many descriptors there may be, and are: of this process (RLIMIT_NOFILE) and of the whole machine. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { CachedFile, readOptional, unexpected } from "./cached-file.ts";
import type { CountLevel, InlineProbe, ProbeRoots } from "./probe.ts";
import { softLimitOf } from "./rlimits.ts";

/** The kernel writes "no limit" as the largest number that it can. */
const UNLIMITED = 2 ** 60;

export class OpenFilesProbe implements InlineProbe<readonly CountLevel[]> {
  readonly name = "open files";
  readonly mode = "inline";
  readonly periodMs = 1_000;
  readonly staleMs = 10_000;
  readonly #proc: string;
  #limit = Infinity;
  #host: CachedFile | undefined;

  constructor(roots: ProbeRoots) {
    this.#proc = roots.proc;
  }

  open(): boolean {
    this.close();
    const limits = readOptional(join(this.#proc, "self/limits"));
    this.#limit = limits === undefined ? Infinity : softLimitOf(limits, "Max open files");
    const host = join(this.#proc, "sys/fs/file-nr");
    if (existsSync(host)) this.#host = new CachedFile(host);
    return this.#limit < Infinity || this.#host !== undefined;
  }

  read(): readonly CountLevel[] {
    const levels: CountLevel[] = [];
    if (this.#limit < Infinity) levels.push({ name: "process", limit: this.#limit, used: this.#countOwn() });
    if (this.#host === undefined) return levels;
    const text = this.#host.read();
    const [allocated = NaN, , limit = NaN] = text.trim().split(/\s+/).map(Number);
    if (!Number.isFinite(allocated + limit)) throw unexpected(this.#host.path, "three counts", text);
    if (limit < UNLIMITED) levels.push({ name: "host", limit, used: allocated });
    return levels;
  }

  close(): void {
    this.#host?.close();
    this.#host = undefined;
  }

  /** Kernels from 6.2 tell the number as the size of the folder; older ones have to be counted. */
  #countOwn(): number {
    const folder = join(this.#proc, "self/fd");
    const { size } = statSync(folder);
    return size > 0 && this.#proc === "/proc" ? size : readdirSync(folder).length;
  }
}
