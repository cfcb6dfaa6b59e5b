/** What the handler of jobs over files works with. */
import type { FileEntry } from "../../../contract/files.ts";
import type { JobQueues } from "../../../platform/job-queues.ts";
import type { PolicyGate } from "../../../platform/policy-gate.ts";
import type { LiveRun } from "../../../platform/run-hash.ts";
import type { FlowRuns } from "../../flow-runs.ts";
import type { LearnedRuns } from "../../governor/learned-runs.ts";
import type { LargestJob } from "../../largest-job.ts";
import type { OutputClaims } from "../../output-claims.ts";
import type { ChunkPlan } from "../../result/chunk-plan.ts";
import type { Recorder, RecorderDeps } from "../../result/recorder.ts";
import type { RunCache } from "../../run-cache.ts";
import type { ChunkEnd, ChunkEvents, ProcessMeasure, UsageSample } from "../chunk-request.ts";
import type { ChunkRunner } from "../chunk-runner.ts";
import type { RoomWaitDeps } from "../room-wait.ts";

export interface ExecDeps extends RecorderDeps, RoomWaitDeps {
  readonly workerId: string;
  readonly runs: RunCache;
  readonly queues: JobQueues;
  readonly runner: Pick<ChunkRunner, "run">;
  readonly gate: PolicyGate;
  readonly claims: OutputClaims;
  /** Moves flows on when the calls of their nodes have ended. */
  readonly flows: Pick<FlowRuns, "endCalls" | "openSpecs" | "giveTo">;
  /** Tells what processes take, and learns it. */
  readonly learned: LearnedRuns;
  readonly largestJob: LargestJob;
  onUsage(jobId: string, sample: UsageSample): void;
  onSolitude(isWanted: boolean): void;
  onStart(run: LiveRun, jobId: string, files: readonly FileEntry[]): void;
  /** The GPU that a job has to itself, by its UUID. */
  gpuOf(jobId: string): string | undefined;
  onMeasured(run: LiveRun, jobId: string, measure: ProcessMeasure): void;
  onChunk(run: LiveRun, files: readonly FileEntry[], seconds: number): void;
}

/** What an attempt is told, of files that run as this run says. */
export interface AttemptEvents {
  readonly of: (measured: LiveRun) => ChunkEvents;
  readonly settled: () => Promise<void>;
}

/** A chunk that is to be run: what is left of it, and who takes what becomes of it. */
export interface Opened {
  readonly run: LiveRun;
  readonly plan: ChunkPlan;
  readonly recorder: Recorder;
  readonly isWanted: boolean;
}

/** The end of a chunk of which nothing was to run. */
export const nothingRan: ChunkEnd = { kind: "done", notRun: [], interrupted: [], fenced: [], postponed: [] };
