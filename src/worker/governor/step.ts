/** The rungs of enforcement: what may be done to a running job, why, and what is looked at to decide it. */
import { MiB } from "../../contract/resources.ts";
import type { Pressure } from "./capacity.ts";
import type { MemoryLevel } from "./probes/probe.ts";
import { outgrownBytes, type Reservation } from "./reservations.ts";

/**
 * `memory-short`: close to the line of danger, and jobs that outgrew their promises are what brought it there.
 * `memory-threshold`: the same at a threshold that a person has set. `memory-limit`, `memory-pressure`: in danger.
 */
export type MemoryReason = "memory-limit" | "memory-pressure" | "memory-threshold" | "memory-short";

/** Why cores are short: all tasks wait for them, or a cap on them, on heat or on power binds. */
export type CpuReason = "cpu-pressure" | "cpu-threshold" | "heat" | "power";

interface About {
  readonly jobId: string;
  readonly runId: string;
  /** The root of the process tree that is meant: another one of the same job is left alone. */
  readonly pid: number | undefined;
  readonly message: string;
}

/** A job to end now. It is to be tried again with more than `peakBytes`. */
export interface Eviction extends About {
  readonly kind: "end";
  readonly reason: MemoryReason | "time-limit";
  readonly peakBytes: number;
}

/** `gone`: its process has ended while it was stopped. */
export type ResumeReason = "gone" | "drain" | "alone" | "time-limit" | "room";

export type Step =
  | Eviction
  | (About & { readonly kind: "suspend"; readonly reason: MemoryReason })
  | (About & { readonly kind: "resume"; readonly reason: ResumeReason })
  | (About & { readonly kind: "slow"; readonly reason: CpuReason })
  | (About & { readonly kind: "restore"; readonly reason: "calm" });

/** A running job as enforcement sees it. */
export type EnforcedJob = Pick<
  Reservation,
  | "jobId"
  | "runId"
  | "pid"
  | "need"
  | "usage"
  | "peakBytes"
  | "processSinceMs"
  | "endsAtMs"
  | "expectation"
  | "isRetriable"
  | "isInside"
  | "suspension"
  | "suspendedMs"
  | "slowed"
>;

/** Whether cores are short or not, and since when. */
export type CpuState =
  | { readonly kind: "calm"; readonly sinceMs: number }
  | { readonly kind: "short"; readonly reason: CpuReason; readonly sinceMs: number };

export interface EnforcementView {
  readonly memory: readonly MemoryLevel[];
  readonly memoryThreshold: number;
  readonly systemReserveBytes: number;
  readonly pressure: Pressure | undefined;
  readonly jobs: readonly EnforcedJob[];
  readonly cpu: CpuState;
  /** A worker that drains stops no job: each is to come to its end. */
  readonly isDraining: boolean;
  /** By the clock that never goes back. */
  readonly nowMs: number;
}

/** Growth beyond a promise that is noise: allocators round, the kernel counts in batches. */
const OUTGROWN_SLACK_BYTES = 4 * MiB;
/** A promise is what 19 in 20 stay within: the others are a little beyond it, mostly, and that is no lie. */
const OUTGROWN_SLACK_RATIO = 0.1;

/** Jobs that have processes of their own: nothing else is stopped, slowed or ended. */
export function enforcedJobs({ jobs }: Pick<EnforcementView, "jobs">): readonly EnforcedJob[] {
  return jobs.filter((job) => job.jobId !== undefined && !job.isInside);
}

/** Whether a job is beyond its promise by more than noise. */
export function hasOutgrown(job: EnforcedJob): boolean {
  return outgrownBytes(job) > Math.max(OUTGROWN_SLACK_BYTES, OUTGROWN_SLACK_RATIO * job.need.memoryBytes);
}

export function rssBytes({ usage }: Pick<EnforcedJob, "usage">): number {
  return usage?.rssBytes ?? 0;
}

/** Newest process first: the least is lost with it. */
export function youngestFirst(jobs: readonly EnforcedJob[]): readonly EnforcedJob[] {
  return jobs.toSorted((a, b) => (b.processSinceMs ?? Infinity) - (a.processSinceMs ?? Infinity));
}

/** For how long a job stands still this time, in ms. */
export function standsMs({ suspension }: EnforcedJob, { nowMs }: Pick<EnforcementView, "nowMs">): number {
  return suspension === undefined ? 0 : nowMs - suspension.sinceMs;
}

/** What every step says of its job. */
export function about({ jobId, runId, pid }: EnforcedJob, message: string): About {
  return { jobId: jobId ?? "", runId: runId ?? "", pid, message };
}

/** In whole MiB, for people. */
export function size(bytes: number): string {
  return `${Math.round(bytes / MiB)} MiB`;
}
