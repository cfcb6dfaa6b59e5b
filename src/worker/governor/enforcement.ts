/**
 * Keep enforcing (law 2): what runs is measured, and when memory gets short, one job is ended before the kernel ends
 * something. Pure. The ladder of this form: stop admitting (the gates), then end one job, wait until it is gone, look
 * again. Slowing down and suspending come between the two later.
 *
 * Who: a job that outgrew its promise before any that kept it; among those the one whose process started last
 * of those that alone bring the use below the line; when none does alone, the largest, so that the fewest are ended.
 * The last job of a worker is ended only when the machine itself is in danger.
 */
import { MiB } from "../../contract/resources.ts";
import { ceilingBytes, DANGER_RATIO } from "./memory-rules.ts";
import type { Pressure } from "./capacity.ts";
import type { MemoryLevel } from "./probes/probe.ts";
import { outgrownBytes, type Reservation } from "./reservations.ts";

const LAST_JOB_RATIO = 0.97;
const STALL_RATIO = 0.1;
/** Stalls of the whole host say nothing about us unless our own memory is short too. */
const STALL_FILL_RATIO = 0.8;
/** Growth beyond a promise that is noise: allocators round, the kernel counts in batches. */
const OUTGROWN_SLACK_BYTES = 4 * MiB;

export type EvictionReason = "memory-limit" | "memory-threshold" | "memory-pressure";

/** A job to end now. It is to be tried again with at least `floorBytes`. */
export interface Eviction {
  readonly jobId: string;
  readonly runId: string;
  readonly reason: EvictionReason;
  readonly peakBytes: number;
  readonly message: string;
}

/** A running job as enforcement sees it. */
export type EnforcedJob = Pick<
  Reservation,
  "jobId" | "runId" | "need" | "usage" | "peakBytes" | "processSinceMs" | "isRetriable" | "isInside"
>;

export interface EnforcementView {
  readonly memory: readonly MemoryLevel[];
  readonly memoryThreshold: number;
  readonly systemReserveBytes: number;
  readonly pressure: Pressure | undefined;
  readonly jobs: readonly EnforcedJob[];
}

interface Alarm {
  readonly reason: EvictionReason;
  readonly level: MemoryLevel;
  /** What must be freed. */
  readonly excessBytes: number;
  readonly mustBeOutgrown: boolean;
}

/** Decides which job to end now, if any. The caller asks again only after that job has gone. */
export function decideEviction(view: EnforcementView): Eviction | undefined {
  const alarm = decideAlarm(view);
  if (alarm === undefined) return undefined;
  const running = view.jobs.filter((job) => job.jobId !== undefined && !job.isInside);
  const fill = alarm.level.usedBytes / alarm.level.limitBytes;
  if (running.length <= 1 && fill <= LAST_JOB_RATIO) return undefined;
  const victim = chooseVictim(running, alarm, fill);
  if (victim?.jobId === undefined) return undefined;
  return {
    jobId: victim.jobId,
    runId: victim.runId ?? "",
    reason: alarm.reason,
    peakBytes: victim.peakBytes,
    message: describe(victim, alarm),
  };
}

function decideAlarm(view: EnforcementView): Alarm | undefined {
  let worst: Alarm | undefined;
  for (const level of view.memory) {
    const excessBytes = level.usedBytes - DANGER_RATIO * level.limitBytes;
    if (excessBytes <= (worst?.excessBytes ?? 0)) continue;
    worst = { reason: "memory-limit", level, excessBytes, mustBeOutgrown: false };
  }
  return worst ?? decideStall(view) ?? decideThreshold(view);
}

function decideStall({ memory, pressure }: EnforcementView): Alarm | undefined {
  if (pressure === undefined || pressure.memoryFull <= STALL_RATIO) return undefined;
  const level = memory.toSorted((a, b) => b.usedBytes / b.limitBytes - a.usedBytes / a.limitBytes)[0];
  if (level === undefined) return undefined;
  if (pressure.scope === "host" && level.usedBytes < STALL_FILL_RATIO * level.limitBytes) return undefined;
  return { reason: "memory-pressure", level, excessBytes: 0, mustBeOutgrown: false };
}

/** The threshold is passed, and would not be if our jobs had kept their promises: then, and only then, it is on us. */
function decideThreshold(view: EnforcementView): Alarm | undefined {
  const outgrown = view.jobs.reduce((sum, job) => sum + outgrownBytes(job), 0);
  for (const level of view.memory) {
    const excessBytes = level.usedBytes - ceilingBytes(level, view);
    if (excessBytes > 0 && excessBytes <= outgrown) {
      return { reason: "memory-threshold", level, excessBytes, mustBeOutgrown: true };
    }
  }
  return undefined;
}

function chooseVictim(running: readonly EnforcedJob[], alarm: Alarm, fill: number): EnforcedJob | undefined {
  const outgrown = running.filter((job) => outgrownBytes(job) > OUTGROWN_SLACK_BYTES);
  const blamed = outgrown.length > 0 || alarm.mustBeOutgrown ? outgrown : running;
  const retriable = blamed.filter((job) => job.isRetriable);
  // Better a job that nobody repeats than what the kernel would pick.
  const candidates = retriable.length > 0 || fill <= LAST_JOB_RATIO ? retriable : blamed;
  const youngestFirst = candidates.toSorted((a, b) => startedAtMs(b) - startedAtMs(a));
  const enough = youngestFirst.find((job) => rssBytes(job) > 0 && rssBytes(job) >= alarm.excessBytes);
  return enough ?? youngestFirst.toSorted((a, b) => rssBytes(b) - rssBytes(a))[0];
}

function describe(job: EnforcedJob, { level, reason }: Alarm): string {
  const size = (bytes: number) => `${Math.round(bytes / MiB)} MiB`;
  const state = `${size(level.usedBytes)} of ${size(level.limitBytes)} of the ${level.name} in use`;
  return `${reason}: ${state}; the job uses ${size(rssBytes(job))}, ${size(job.need.memoryBytes)} were reserved`;
}

function startedAtMs(job: EnforcedJob): number {
  return job.processSinceMs ?? Infinity;
}

function rssBytes(job: EnforcedJob): number {
  return job.usage?.rssBytes ?? 0;
}
