/** A program of bench/shared/memory-load.ts as the kernel would show it, at any moment of simulated time. */
import type { LoadJob } from "../../bench/shared/memory-load.ts";
import { asProcess } from "../../bench/shared/process-overhead.ts";
import type { UsageSample, ProcessMeasure } from "../../src/worker/executor/chunk-request.ts";
import { MiB } from "../../src/contract/resources.ts";
import { MemoryTrace } from "../../src/worker/executor/trace.ts";
import { memoryMbAt } from "./memory-simulation.ts";

/** What an interpreter takes beside what its program asks for, and what an allocation of a MiB takes in pages more. */
const INTERPRETER_MB = 8;
const PER_MB = 1.004;
/** To start the interpreter, and to give its memory back. */
const AROUND_MS = 40;
/** Cores that a process uses while it moves. */
export const CPU_SHARE = 0.08;
const SAMPLE_MS = 150;

/** The job as its process is: what the kernel counts for it, and for how long. */
export function processOf(job: LoadJob): LoadJob {
  return asProcess(job, { baseMb: INTERPRETER_MB, perMb: PER_MB, seconds: AROUND_MS / 1_000 });
}

export class SimulatedProcess {
  readonly pid: number;
  readonly #job: LoadJob;
  readonly #sinceMs: number;
  readonly #trace = new MemoryTrace();
  #sampledAtMs = -Infinity;
  #stoppedSinceMs: number | undefined;
  #stoodMs = 0;

  constructor(pid: number, job: LoadJob, nowMs: number) {
    this.pid = pid;
    this.#job = job;
    this.#sinceMs = nowMs;
  }

  get isMoving(): boolean {
    return this.#stoppedSinceMs === undefined;
  }

  /** For how long it has moved. */
  movedMs(nowMs: number): number {
    return (this.#stoppedSinceMs ?? nowMs) - this.#sinceMs - this.#stoodMs;
  }

  /** By a clock that goes on while it stands still, as that of the program does; it ends when it may move. */
  isOver(nowMs: number): boolean {
    return this.#stoppedSinceMs === undefined && nowMs - this.#sinceMs >= 1_000 * this.#job.seconds + AROUND_MS;
  }

  rssBytes(nowMs: number): number {
    const atMs = (this.#stoppedSinceMs ?? nowMs) - this.#sinceMs;
    return (INTERPRETER_MB + PER_MB * memoryMbAt(this.#job, Math.min(1, atMs / 1_000 / this.#job.seconds))) * MiB;
  }

  cpuMs(nowMs: number): number {
    return CPU_SHARE * this.movedMs(nowMs);
  }

  suspend(nowMs: number): void {
    this.#stoppedSinceMs ??= nowMs;
  }

  resume(nowMs: number): void {
    this.#stoodMs += nowMs - (this.#stoppedSinceMs ?? nowMs);
    this.#stoppedSinceMs = undefined;
  }

  /** What the executor's thread tells of it when it is time for that. */
  sample(chunkId: string, inputBytes: number, nowMs: number): UsageSample | undefined {
    if (nowMs - this.#sampledAtMs < SAMPLE_MS) return undefined;
    this.#sampledAtMs = nowMs;
    const [elapsedMs, rssBytes] = [this.movedMs(nowMs), this.rssBytes(nowMs)];
    this.#trace.add(elapsedMs, rssBytes, null);
    return { chunkId, pid: this.pid, inputBytes, elapsedMs, rssBytes, cpuMs: this.cpuMs(nowMs), processes: 1 };
  }

  /** What is told of it once it has ended. */
  measure(end: ProcessMeasure["end"], nowMs: number): Omit<ProcessMeasure, "isAlone" | "path" | "inputBytes"> {
    const durationMs = this.movedMs(nowMs);
    const peakBytes = Math.max(this.#trace.peakBytes, this.rssBytes(nowMs));
    const shape = end === "well" ? this.#trace.shape(durationMs, peakBytes) : null;
    return { end, durationMs, cpuMs: this.cpuMs(nowMs), peakBytes, ioBytes: null, shape };
  }
}
