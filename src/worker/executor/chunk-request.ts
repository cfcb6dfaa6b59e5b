/** What the worker asks the executor for, what it is told on the way, and how a chunk ends. */
import type { FileEntry, FileResult } from "../../contract/files.ts";
import type { RunSpec } from "../../contract/run-spec.ts";
import type { MeteredGroup } from "../governor/probes/job-group.ts";

/** The row of an earlier epoch that may still hold. */
export type KnownOutput = Pick<
  FileResult,
  "inputSha256" | "binarySha256" | "argsSha256" | "outputPath" | "outputSha256" | "outputBytes"
>;

export interface ChunkRequest {
  /** Unique among the chunks that run at one time. */
  readonly chunkId: string;
  readonly runId: string;
  readonly epoch: number;
  readonly workerId: string;
  /** Unique per attempt at the chunk; part of the names of temporary files. */
  readonly token: string;
  readonly spec: RunSpec;
  readonly files: readonly FileEntry[];
  /** By path. A file whose digests are all the same and whose output is still there is not run. */
  readonly known: ReadonlyMap<string, KnownOutput>;
  /** Path to the digest of an output that was about to be published when a worker was lost. */
  readonly intents: ReadonlyMap<string, string>;
  /** Crash digests (see `crashDigest`) of what is not run any more. */
  readonly quarantined: ReadonlySet<string>;
  /** Crash digests of what is not to be started beside these files, and how many workers were lost with each. */
  readonly suspects: ReadonlyMap<string, number>;
  /** Files are announced when they run, not in groups: a loss of this worker is to blame no other. */
  readonly isOneByOne: boolean;
  /** The GPU that its processes see, by its UUID; null when they asked for none. */
  readonly gpu: string | null;
  /** How long a process over its largest file is expected to take; left out when nobody can say. */
  readonly expectedMs?: number | undefined;
}

/** A file whose process is about to be started. */
export interface Starting {
  readonly index: number;
  readonly path: string;
  /** The temporary file, relative to the output root; empty when nothing is kept. */
  readonly temp: string;
  readonly crashDigest: string;
}

/** An output that is whole and on disk under its temporary name. */
export interface Publication extends Starting {
  /** Relative to the output root. */
  readonly target: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** What the processes of a chunk use now. */
export interface UsageSample {
  readonly chunkId: string;
  readonly pid: number;
  /** Size of all inputs of the process; null for a check. */
  readonly inputBytes: number | null;
  /** Since the process was started. */
  readonly elapsedMs: number;
  readonly rssBytes: number;
  /** User and system time so far, of the processes that live now and of those they waited for. */
  readonly cpuMs: number;
  readonly processes: number;
  /** The control group that the process and all that it started are in; left out where it is in none. */
  readonly group?: MeteredGroup | undefined;
}

/** What one process of the binary took, from which its class is learned. */
export interface ProcessMeasure {
  /** `out-of-memory`: it was ended before it was done, so it takes at least this. */
  readonly end: "well" | "out-of-memory";
  /** Position of its first file in the order of the scan. */
  readonly index: number;
  readonly path: string;
  readonly inputBytes: number;
  readonly durationMs: number;
  readonly cpuMs: number;
  readonly peakBytes: number;
  /** Bytes read from and written to disks; null when nobody could tell. */
  readonly ioBytes: number | null;
  /** For each tenth of its life the share of its peak that it had come to; null when it was too short to tell. */
  readonly shape: readonly number[] | null;
}

export interface ChunkEvents {
  /** Awaited before the processes start. A rejection ends the chunk. */
  starting(files: readonly Starting[]): Promise<void>;
  /** Whether each may be published; one answer per item. What may not is removed. A rejection ends the chunk. */
  mayPublish(items: readonly Publication[]): Promise<readonly boolean[]>;
  /** Ends of files, the failed ones included. */
  results(results: readonly FileResult[]): void;
  reused(paths: readonly string[]): void;
  usage(sample: UsageSample): void;
  /** A process of the binary has ended, by itself or for memory. Comes before the results of its files. */
  measured(measure: ProcessMeasure): void;
}

export interface ChunkEnd {
  /** `lease-lost`: a callback rejected with LeaseLostError. `aborted`: the signal, or a callback that failed (`error`). */
  readonly kind: "done" | "aborted" | "lease-lost";
  /** Files without a result: never started, or ended while they ran. */
  readonly notRun: readonly FileEntry[];
  /** Those of `notRun` whose process had been started. */
  readonly interrupted: readonly FileEntry[];
  /** Suspects, which were not started; their entries say how many workers were lost with them. */
  readonly postponed: readonly FileEntry[];
  /** Files whose publication was refused. */
  readonly fenced: readonly FileEntry[];
  /** How long its processes stood still; left out when none did. */
  readonly suspendedMs?: number;
  readonly error?: Error;
}
