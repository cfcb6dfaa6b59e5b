/**
 * The limit on processes and threads of one user (RLIMIT_NPROC), and how many that user has. Counting them means to look
 * at every process: done off the tick, and only when the threads of the whole machine come near the limit.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { BackgroundProbe, CountLevel, ProbeRoots } from "./probe.ts";
import { softLimitOf } from "./rlimits.ts";

/** Below this share of the limit even all threads of the machine would do no harm. */
const NEAR_RATIO = 0.5;

export class UserProcessesProbe implements BackgroundProbe<CountLevel> {
  readonly name = "user processes";
  readonly mode = "background";
  readonly periodMs = 5_000;
  readonly staleMs = 30_000;
  readonly limitMs = 5_000;
  readonly #proc: string;
  readonly #uid: number;
  #limit = Infinity;

  constructor(roots: ProbeRoots, uid: number = process.getuid?.() ?? 0) {
    this.#proc = roots.proc;
    this.#uid = uid;
  }

  /** The superuser has no such limit, whatever its process says. */
  async open(): Promise<boolean> {
    if (this.#uid === 0) return false;
    const text = await readFile(join(this.#proc, "self/limits"), "latin1").catch(() => undefined);
    // Not shown in this container: then the limits that are shown must do.
    this.#limit = text === undefined ? Infinity : softLimitOf(text, "Max processes");
    return this.#limit < Infinity;
  }

  async read(signal: AbortSignal): Promise<CountLevel> {
    const load = await readFile(join(this.#proc, "loadavg"), "latin1").catch(() => "");
    const all = Number(/^\S+ \S+ \S+ \d+\/(\d+) /.exec(load)?.[1] ?? Infinity);
    const used = all < NEAR_RATIO * this.#limit ? all : await this.#count(signal);
    return { name: "user", limit: this.#limit, used };
  }

  close(): void {
    // Nothing is kept open.
  }

  async #count(signal: AbortSignal): Promise<number> {
    let threads = 0;
    for (const name of await readdir(this.#proc)) {
      if (!/^\d+$/.test(name)) continue;
      signal.throwIfAborted();
      const folder = join(this.#proc, name);
      // Processes end at any time: one that cannot be looked at is gone.
      const owner = await stat(folder).catch(() => undefined);
      if (owner?.uid !== this.#uid) continue;
      const status = await readFile(join(folder, "status"), "latin1").catch(() => "");
      threads += Number(/^Threads:\s*(\d+)/m.exec(status)?.[1] ?? 0);
    }
    return threads;
  }
}
