/** What people and programs are told about runs, jobs and workers while things go on. Times in ms since 1970. */
import type { RunState } from "./outcomes.ts";
import type { Amounts } from "./resources.ts";
import type { FileCounts, RunRecord } from "./run-record.ts";
import type { WorkerPace } from "./scaling.ts";

/** A run with what is known of it now: live counts while it goes on, the final ones afterwards. */
export interface RunStatus extends RunRecord {
  readonly counts: FileCounts;
  readonly progress: RunProgress;
}

export interface RunProgress {
  /** Chunk jobs that the scan added so far. */
  readonly chunks: number;
  /** Whether the scan has ended, so that `counts.total` is final. */
  readonly isScanned: boolean;
  /** Files that have an outcome. */
  readonly doneFiles: number;
  /** Files that have an outcome, of all; null while the scan still counts. */
  readonly doneRatio: number | null;
  readonly elapsedSeconds: number | null;
  /** Files that ran, not those whose earlier result still held, by second since the start of this epoch. */
  readonly filesPerSecond: number | null;
  /** What is left at the rate so far; null when it cannot be said. */
  readonly remainingSeconds: number | null;
  /** Jobs of this run that workers hold now. */
  readonly runningJobs: number;
}

/** Why something is not running. The message says it in words; the code is for programs. */
export type WaitCode =
  | "running"
  | "ended"
  | "cancelling"
  | "queued-behind"
  | "no-worker"
  | "no-worker-with-labels"
  | "no-worker-for-queue"
  | "worker-lost"
  | "queue-paused"
  | "room-kept"
  | "profile-set"
  | "backoff"
  | "waits-for-answer"
  | "waits-for-children"
  | "scanning"
  | "not-submitted"
  | "failed"
  | "idle"
  | "redis-full"
  | "UNSCHEDULABLE"
  | "DRAINING"
  | "DISK_FULL";

export interface WaitReason {
  /** What says so: a worker, a queue, a job or the run itself, such as `worker host-1`. */
  readonly where: string;
  /** A `WaitCode`, or the governor's own code when a worker defers. */
  readonly code: string;
  readonly message: string;
  /** When it began to hold. */
  readonly sinceMs: number | null;
  /** Milliseconds from now until it may change; null when nobody can say. */
  readonly etaMs: number | null;
  readonly need: string | number | null;
  readonly have: string | number | null;
}

/** What the disk of a run's outputs lacks, as the worker that gave a chunk back saw it: field `room` of its hash. */
export interface RoomWait {
  readonly freeBytes: number;
  /** More than this has to be free. */
  readonly needBytes: number;
  readonly atMs: number;
}

export interface Explanation {
  readonly subject: { readonly kind: "run" | "job" | "worker" | "profile"; readonly id: string };
  /** State of the run or of the worker, BullMQ's state of the job, or whether jobs of the profile run or wait. */
  readonly state: string;
  /** Never empty: every wait has a reason, and so has its absence. */
  readonly reasons: readonly WaitReason[];
}

export interface CancelAck {
  readonly runId: string;
  readonly state: RunState;
  /** Whether every worker that held a job of the run has said that it let go. */
  readonly acknowledged: boolean;
  /** Jobs of the run that workers still hold. */
  readonly stillRunning: number;
}

/** What is done to a running job when something is short: its process stands still, or has less of the cores. */
export const enforcedStates = ["suspended", "slowed"] as const;
export interface Enforced {
  readonly state: (typeof enforcedStates)[number];
  readonly sinceMs: number;
  readonly message: string;
}

/** One job that a worker holds. */
export interface RunningJob {
  readonly jobId: string;
  /** The queue that it came from; a worker of an earlier version does not tell. */
  readonly queue?: string | undefined;
  readonly runId: string;
  readonly sinceMs: number;
  readonly reserved: Partial<Amounts>;
  readonly rssBytes: number | null;
  /** The middle of the peak memory that is expected of its process; null when that was not looked up yet, or is not told. */
  readonly expectedBytes?: number | null | undefined;
  /** Memory of its card; left out for one that has none and was seen on none. */
  readonly gpu?: GpuShare | undefined;
  /** When it probably ends; null when nobody can say. */
  readonly endsAtMs: number | null;
  readonly enforced: Enforced | null;
}

/** What a job has of the memory of a GPU, in bytes: promised, in use, and the middle of what is expected. */
export interface GpuShare {
  readonly reservedBytes: number;
  readonly usedBytes: number | null;
  readonly expectedBytes: number | null;
}

/** A queue whose head a worker does not claim, and why. */
export interface WaitingQueue {
  readonly queue: string;
  readonly code: string;
  readonly message: string;
  readonly sinceMs: number | null;
  readonly etaMs: number | null;
  readonly need: string | number | null;
  readonly have: string | number | null;
}

/** Room that a worker keeps for a job that has waited long: others begin there only if they end before, or fit beside it. */
export interface KeptRoom {
  readonly queue: string;
  /** The next job of the queue; null when that was not looked at. */
  readonly jobId: string | null;
  readonly waitedMs: number;
  /** When it probably starts; null when nobody can say. */
  readonly startsInMs: number | null;
}

/** Memory of a card, or room on a volume that jobs write to. */
export interface DeviceRoom {
  /** Such as `gpu 0`, or what the volume is for. */
  readonly name: string;
  readonly usedBytes: number;
  readonly totalBytes: number;
  /**
   * Promised to jobs on the card, or what they hold when it is more, those of other workers of the machine among them; left out
   * for a volume.
   */
  readonly reservedBytes?: number | undefined;
}

/** What a worker says about itself every few seconds: field `json` of the hash `keys.worker`. */
export interface WorkerHeartbeat {
  readonly workerId: string;
  readonly host: string;
  readonly pid: number;
  readonly startedAtMs: number;
  readonly atMs: number;
  readonly state: string;
  readonly labels: readonly string[];
  readonly capacity: Partial<Amounts>;
  readonly reserved: Partial<Amounts>;
  readonly observed: Partial<Amounts>;
  readonly headroom: Partial<Amounts>;
  /** Each card, and the fullest volume; nothing from a worker of an earlier version. */
  readonly devices?: readonly DeviceRoom[] | undefined;
  /** The most memory that this worker would ever admit one job with; null when it is of a version that does not tell. */
  readonly largestJobBytes: number | null;
  /**
   * The memory of the largest card that it has had; null when it was told of none, or of one that does not tell its memory.
   * Nothing from a worker of an earlier version.
   */
  readonly largestCardBytes?: number | null | undefined;
  readonly running: readonly RunningJob[];
  readonly waiting: readonly WaitingQueue[];
  /** What it keeps room for; null when that is nothing, or the worker is of a version that does not tell. */
  readonly keepsRoomFor: KeptRoom | null;
  /** How fast it was seen to do jobs, by profile; nothing from a worker of an earlier version. */
  readonly pace?: readonly WorkerPace[] | undefined;
  /** Of the program, and the newest payload of jobs that it reads; a worker of an earlier version tells neither. */
  readonly version?: string | undefined;
  readonly payloadVersion?: number | undefined;
}

/** A heartbeat older than this says that the worker is gone. */
export const WORKER_ALIVE_MS = 15_000;
/** A heartbeat is kept for this long after it was sent: what is left of it tells its age by the clock of Redis. */
export const HEARTBEAT_KEPT_MS = 4 * WORKER_ALIVE_MS;
