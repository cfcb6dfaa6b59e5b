/** A situation in which a job waits: what brings it about, what is told then, and what ends it. */
import type { Expectation } from "../../../src/contract/expectation.ts";
import { MiB } from "../../../src/contract/resources.ts";
import type { DeferCode } from "../../../src/contract/defer-codes.ts";
import type { StagedWorker, StageOptions } from "../staged-worker.ts";

export interface Situation {
  readonly name: string;
  readonly code: DeferCode | "UNSCHEDULABLE";
  readonly words: RegExp;
  readonly options?: () => StageOptions;
  /** Before the worker starts. */
  readonly prepare?: (stage: StagedWorker) => void;
  readonly cause: (stage: StagedWorker) => void | Promise<void>;
  readonly undo: (stage: StagedWorker) => void | Promise<void>;
  /** Until when it is told to wait: to the end of a job of ours, or a moment. Default: nobody can say. */
  readonly until?: "a job ends" | "soon";
  /** No end of a job of ours changes it: it is told before what those hold. */
  readonly isLasting?: boolean;
  /** Passes by itself. */
  readonly isPassing?: boolean;
}

/** What is expected of a kind of job that nobody has seen. */
export const nothingKnown: Expectation = {
  ...{ basis: "default", samples: 0, memoryBytes: { p50: 128 * MiB, p95: 128 * MiB }, durationMs: undefined },
  ...{ cpuCores: undefined, ioBytesPerSecond: undefined, gpuMemoryBytes: undefined, shape: undefined },
};

/** Small jobs of another queue begin. */
export const begin = (stage: StagedWorker, ...jobIds: string[]) => {
  for (const jobId of jobIds) stage.begin(jobId, stage.ask(50, { queue: "exec.small@12" }));
};
