/**
 * Looks after the processes that run longer than a moment: time limits, the size of their outputs, what they use. One
 * timer for all; a process that ends between two ticks costs an entry in a map.
 */
import { statSync } from "node:fs";
import { fsPath } from "../../contract/path-bytes.ts";
import type { UsageSample } from "./chunk-request.ts";
import type { MemoryKills } from "./memory-kills.ts";
import { usageOfTree } from "./process-tree.ts";
import { MemoryTrace } from "./trace.ts";

export interface Watched {
  readonly chunkId: string;
  readonly pid: number;
  /** Size of all its inputs; null for a check. */
  readonly inputBytes: number | null;
  /** Milliseconds of the monotonic clock. */
  readonly startedMs: number;
  readonly timeoutMs: number;
  /** What grows while the process runs; null when nothing is kept. */
  readonly outputPath: string | null;
  readonly maxOutputBytes: number;
  /** Called once. */
  onTimeout(): void;
  onTooLarge(): void;
}

const TICK_MS = 50;
/** Every so many ticks the usage is measured. */
const SAMPLE_TICKS = 3;
/** Younger processes are not measured. */
const YOUNG_MS = 100;

export class Watch {
  readonly #watched = new Map<number, Watched>();
  readonly #traces = new Map<number, MemoryTrace>();
  readonly #stopped = new Set<number>();
  readonly #kills: MemoryKills;
  readonly #onUsage: (sample: UsageSample) => void;
  #timer: NodeJS.Timeout | undefined;
  #ticks = 0;
  #idleTicks = 0;

  constructor(kills: MemoryKills, onUsage: (sample: UsageSample) => void) {
    this.#kills = kills;
    this.#onUsage = onUsage;
  }

  add(launchId: number, watched: Watched): void {
    this.#watched.set(launchId, watched);
    this.#idleTicks = 0;
    this.#timer ??= setInterval(() => {
      this.#tick();
    }, TICK_MS);
  }

  /** Looks after it no more. Returns what was seen of its memory; null when it ended before that was looked at. */
  delete(launchId: number): MemoryTrace | null {
    this.#watched.delete(launchId);
    this.#stopped.delete(launchId);
    const trace = this.#traces.get(launchId) ?? null;
    this.#traces.delete(launchId);
    return trace;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    // Between two files of a chunk nothing runs for a moment: the timer outlives that.
    if (this.#watched.size === 0 && ++this.#idleTicks > 20) {
      this.close();
      return;
    }
    const nowMs = monotonicMs();
    this.#kills.recent(performance.now());
    this.#ticks += 1;
    const isSampleTick = this.#ticks % SAMPLE_TICKS === 0;
    for (const [id, watched] of this.#watched) {
      const ageMs = nowMs - watched.startedMs;
      if (ageMs < YOUNG_MS && ageMs < watched.timeoutMs) continue;
      if (!this.#stopped.has(id)) this.#enforce(id, watched, ageMs);
      if (isSampleTick) this.#sample(id, watched, ageMs);
    }
  }

  #enforce(id: number, watched: Watched, ageMs: number): void {
    if (ageMs >= watched.timeoutMs) {
      this.#stopped.add(id);
      watched.onTimeout();
    } else if (watched.outputPath !== null && sizeOf(watched.outputPath) > watched.maxOutputBytes) {
      this.#stopped.add(id);
      watched.onTooLarge();
    }
  }

  #sample(id: number, { chunkId, pid, inputBytes }: Watched, elapsedMs: number): void {
    const usage = usageOfTree(pid);
    if (usage === undefined) return;
    const { ioBytes, ...own } = usage;
    if (inputBytes !== null) {
      const trace = this.#traces.get(id) ?? new MemoryTrace();
      this.#traces.set(id, trace);
      trace.add(elapsedMs, own.rssBytes, ioBytes);
    }
    this.#onUsage({ chunkId, pid, inputBytes, elapsedMs, ...own });
  }
}

/** The clock that the launcher tells times by, in ms. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}

function sizeOf(path: string): number {
  try {
    return statSync(fsPath(path), { throwIfNoEntry: false })?.size ?? 0;
  } catch {
    return 0; // Looked at again when the process has ended.
  }
}
