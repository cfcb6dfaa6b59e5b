/**
 * What a worker learns of itself while it admits: how sure it has to be (risk.ts), how far its cores can be promised more
 * than once (cores.ts), how many jobs that wait run best at a time (class-limits.ts), what others took of its memory lately
 * (room.ts), and what the jobs of each queue looked like.
 */
import type { Expectation } from "../../contract/expectation.ts";
import type { CapacityReading } from "./capacity.ts";
import { ClassLimits } from "./class-limits.ts";
import { decideOvercommit, firstOvercommit, type Overcommit } from "./cores.ts";
import type { MemoryExpectation } from "./outlook.ts";
import { decideRisk, firstRisk, type Risk, type RiskEvent } from "./risk.ts";
import type { Reservation } from "./reservations.ts";
import { noExternalUse, noteExternalUse, type ExternalUse } from "./room.ts";

const MAX_QUEUES = 1_000;

export interface UsualJob {
  readonly expectation: Expectation;
  /** All its files together, in ms; undefined when that is not known. */
  readonly lastsMs: number | undefined;
  /** The key of its class, where the job itself was looked at. */
  readonly kind?: string;
}

export class SelfTuning {
  #risk: Risk = firstRisk;
  #overcommit: Overcommit = firstOvercommit;
  #external: ExternalUse = noExternalUse;
  readonly #classLimits: ClassLimits;
  #cpuCores = 1;
  readonly #ofQueue = new Map<string, UsualJob>();
  /** Jobs here that lost a process for its memory. */
  readonly #killed = new Set<string>();

  constructor(classLimits = new ClassLimits()) {
    this.#classLimits = classLimits;
  }

  get z(): number {
    return this.#risk.z;
  }

  get kappa(): number {
    return this.#overcommit.kappa;
  }

  get classLimits(): ClassLimits["all"] {
    return this.#classLimits.all;
  }

  get external(): ExternalUse {
    return this.#external;
  }

  /** A process of a job was ended for its memory. */
  readonly noteKill = (jobId: string, event: Exclude<RiskEvent, "clean"> = "governor-kill"): void => {
    this.#risk = decideRisk(this.#risk, event);
    this.#killed.add(jobId);
  };

  /** A job has ended. One that lost a process for its memory, or ran none to its end, is no sign that memory was enough. */
  noteEnd(job: Reservation, nowMs: number): void {
    const { jobId, queue, kind, sinceMs, suspendedMs, cpuMs, work } = job;
    if (jobId !== undefined && this.#killed.delete(jobId)) return;
    if (work <= 0) return;
    this.#risk = decideRisk(this.#risk, "clean");
    this.#classLimits.noteEnd({ queue, kind, ms: nowMs - sinceMs - suspendedMs, cpuMs, work }, this.#cpuCores);
  }

  /** Levels and jobs were read at the same moment: what is beyond our jobs is others' use. */
  noteReading(reading: CapacityReading, jobs: readonly Reservation[], isOnlyCpuInTheWay: boolean): void {
    const levels = reading.memory.map(({ name, usedBytes }) => ({ name, usedBytes, ceilingBytes: 0 }));
    const rssBytes = jobs.reduce((sum, { usage }) => sum + (usage?.rssBytes ?? 0), 0);
    this.#external = noteExternalUse(this.#external, { levels, rssBytes, nowMs: reading.atMs });
    this.#noteCpu(reading, isOnlyCpuInTheWay);
    this.#cpuCores = reading.cpuCores;
    const moving = jobs.filter(({ suspension }) => suspension === undefined);
    this.#classLimits.noteRunning(moving, reading.atMs, reading.cpuCores);
  }

  #noteCpu({ cpu, pressure, atMs }: CapacityReading, isOnlyCpuInTheWay: boolean): void {
    this.#overcommit = decideOvercommit(this.#overcommit, {
      nowMs: atMs,
      pressureSome: pressure?.cpuSome,
      throttledRatio: 0,
      idleRatio: cpu === undefined ? 0 : 1 - cpu.utilisation,
      isOnlyCpuInTheWay,
    });
  }

  /** Remembers what a job of a queue was expected to take: the next one of that queue is probably like it. */
  noteExpectation(queue: string, expectation: Expectation, lastsMs: number | undefined): void {
    if (this.#ofQueue.size >= MAX_QUEUES) this.#ofQueue.clear();
    this.#ofQueue.set(queue, { expectation, lastsMs });
  }

  /** What the job of a queue that was claimed last was expected to take, and for how long. */
  ofQueue(queue: string): UsualJob | undefined {
    return this.#ofQueue.get(queue);
  }
}

/** So much from the first moment to the last, and nobody knows for how long. */
export function flatExpectation(bytes: number): MemoryExpectation {
  return { memoryBytes: { p50: bytes, p95: bytes }, durationMs: undefined, shape: undefined };
}

/** Without a shape nobody can say when in its life a job takes what, or that it takes nothing from some moment on. */
export function memoryOverTime({ memoryBytes, durationMs, shape, usual, shown }: Expectation): MemoryExpectation {
  if (shape === undefined) return { memoryBytes, shape, shown, durationMs: undefined };
  return { memoryBytes, shape, usual, shown, durationMs };
}
