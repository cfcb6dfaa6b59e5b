/**
 * Looks after the processes that run longer than a moment: time limits, the size of their outputs, what they use. One
 * timer for all; a process that ends between two ticks costs an entry in a map.
 */
import { statSync } from "node:fs";
import { fsPath } from "../../contract/path-bytes.ts";
import { membersWith, type Metered } from "../governor/probes/job-group.ts";
import type { AgentTail } from "./agent-tail.ts";
import type { AgentVerdict } from "./agent-watch.ts";
import type { UsageSample } from "./chunk-request.ts";
import type { MemoryKills } from "./memory-kills.ts";
import { usageOfTree, type TreeUsage } from "./process-tree.ts";
import { MemoryTrace } from "./trace.ts";

export interface Watched {
  readonly chunkId: string;
  readonly pid: number;
  /** Size of all its inputs; null for a check. */
  readonly inputBytes: number | null;
  /** Of its control group; undefined where it has none. */
  readonly metered?: Metered | undefined;
  /** Milliseconds of the monotonic clock. */
  readonly startedMs: number;
  readonly timeoutMs: number;
  /** What grows while the process runs; null when nothing is kept. */
  readonly outputPath: string | null;
  readonly maxOutputBytes: number;
  /** Called once. */
  onTimeout(): void;
  onTooLarge(): void;
  /** What an agent prints; undefined for what is none. */
  readonly agent?: AgentTail | undefined;
  onAgent?(verdict: AgentVerdict): void;
}

/** What was seen of a process. */
export interface Seen {
  /** Of its memory; null when it ended before that was looked at. */
  readonly trace: MemoryTrace | null;
  /** How long it stood still. */
  readonly suspendedMs: number;
}

/** The time in which a process stands still counts for nothing. */
interface Standstill {
  sumMs: number;
  /** Undefined while it goes on. */
  sinceMs: number | undefined;
  /** Called at each measurement while it stands still: what it left behind may have started more. */
  onTick(): void;
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
  readonly #standstills = new Map<number, Standstill>();
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

  /** The process stands still from now on. */
  suspend(launchId: number, onTick: () => void): void {
    const sumMs = this.#suspendedMs(launchId, monotonicMs());
    this.#standstills.set(launchId, { sumMs, sinceMs: monotonicMs(), onTick });
  }

  /** It goes on. */
  resume(launchId: number): void {
    const known = this.#standstills.get(launchId);
    if (known === undefined) return;
    known.sumMs = this.#suspendedMs(launchId, monotonicMs());
    known.sinceMs = undefined;
  }

  /** Looks after it no more. */
  delete(launchId: number): Seen {
    const seen = { trace: this.#traces.get(launchId) ?? null, suspendedMs: this.#suspendedMs(launchId, monotonicMs()) };
    this.#watched.get(launchId)?.metered?.meter.close();
    this.#watched.delete(launchId);
    this.#stopped.delete(launchId);
    this.#traces.delete(launchId);
    this.#standstills.delete(launchId);
    return seen;
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
      const ageMs = nowMs - watched.startedMs - this.#suspendedMs(id, nowMs);
      if (ageMs < YOUNG_MS && ageMs < watched.timeoutMs) continue;
      if (!this.#stopped.has(id)) this.#enforce(id, watched, ageMs);
      if (isSampleTick) this.#sample(id, watched, ageMs);
    }
  }

  #suspendedMs(id: number, nowMs: number): number {
    const { sumMs, sinceMs } = this.#standstills.get(id) ?? { sumMs: 0, sinceMs: undefined };
    return sumMs + (sinceMs === undefined ? 0 : nowMs - sinceMs);
  }

  #enforce(id: number, watched: Watched, ageMs: number): void {
    if (ageMs >= watched.timeoutMs) {
      this.#stopped.add(id);
      watched.onTimeout();
    } else if (watched.outputPath !== null && sizeOf(watched.outputPath) > watched.maxOutputBytes) {
      this.#stopped.add(id);
      watched.onTooLarge();
    } else {
      const verdict = watched.agent?.look(ageMs) ?? null;
      if (verdict === null) return;
      this.#stopped.add(id);
      watched.onAgent?.(verdict);
    }
  }

  #sample(id: number, watched: Watched, elapsedMs: number): void {
    const { chunkId, pid, inputBytes } = watched;
    const standstill = this.#standstills.get(id);
    if (standstill?.sinceMs !== undefined) standstill.onTick();
    const usage = usageOf(watched);
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

/** By its control group where it is in one: then nothing is missed, and what processes share counts once. */
function usageOf({ pid, metered }: Watched): (TreeUsage & Pick<UsageSample, "group">) | undefined {
  const members = metered === undefined ? [] : membersWith(pid, metered.group);
  const usage = usageOfTree(pid, members);
  if (usage === undefined || metered === undefined || members.length === 0) return usage;
  try {
    const { rssBytes, cpuMs = usage.cpuMs } = metered.meter.read();
    return { ...usage, rssBytes, cpuMs, group: metered.group };
  } catch {
    return usage; // Its launcher is gone, and the group with it: the process is about to be.
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
