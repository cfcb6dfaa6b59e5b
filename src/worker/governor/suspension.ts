/**
 * Which job is stopped for a while, and which goes on. Pure.
 *
 * A job that is stopped keeps what it has: that helps only where it is the growth of jobs that would pass the line. So one
 * is stopped when others will soon give back what is lacking, or when ending it would lose it for good. Else one that is
 * tried again is ended in danger: measured, freezing in place of ending costs more than what is done twice, unless it is for
 * a second (docs/decisions/enforcement.md). All of a worker's jobs never stand still at once, none while the worker drains, and none
 * for longer than `MOST_MS` in all.
 */
import { fillOf, SHORT_RATIO, type Alarm } from "./memory-alarm.ts";
import { ceilingBytes, DANGER_RATIO } from "./memory-rules.ts";
import { MiB } from "../../contract/resources.ts";
import { growthBytes } from "./reservations.ts";
import {
  about,
  enforcedJobs,
  hasOutgrown,
  rssBytes,
  size,
  standsMs,
  youngestFirst,
  type EnforcedJob,
  type EnforcementView,
  type ResumeReason,
  type Step,
} from "./step.ts";

/** How long a job may stand still in all. */
const MOST_MS = 60_000;
/** Other jobs that are expected to end within this time are worth waiting for. */
const SOON_MS = 10_000;
/** A job goes on only clearly below the lines at which it was stopped, once hardly anything stalls, and not in the next moment. */
const ROOM_RATIO = 0.85;
const HYSTERESIS_RATIO = 0.05;
const CALM_STALL_RATIO = 0.02;
const LEAST_MS = 1_000;
/** In danger others that keep their promises are waited for if they end within this time. */
const PAUSE_MS = 1_000;
/** One that keeps its promise stands still only for so long as others take to end. */
const LEAST_PAUSE_MS = 200;
/** It goes on a little below the line of danger, or it would be stopped and go on by turns. */
const PAUSED_RATIO = DANGER_RATIO - 0.01;
/** What is left to come of a job that has what it was promised. */
const LEAST_GROWTH_BYTES = 8 * MiB;

/** The youngest of these jobs that may be stopped, as the step that stops it. */
export function decideSuspension(jobs: readonly EnforcedJob[], alarm: Alarm, view: EnforcementView): Step | undefined {
  const chosen = youngestFirst(jobs).find((job) => maySuspend(job, view));
  if (chosen === undefined) return undefined;
  const { level, reason } = alarm;
  const state = `${size(level.usedBytes)} of ${size(level.limitBytes)} of the ${level.name} in use`;
  const has = `the job uses ${size(rssBytes(chosen))}, ${size(chosen.need.memoryBytes)} were reserved`;
  return { kind: "suspend", reason, ...about(chosen, `${reason}: ${state}; ${has}`) };
}

/** Jobs that outgrew their promises and for which others are expected to give back in time what is lacking. */
export function worthWaiting({ excessBytes }: Alarm, view: EnforcementView): readonly EnforcedJob[] {
  const running = enforcedJobs(view).filter(({ suspension }) => suspension === undefined);
  const kept = running.filter((job) => !hasOutgrown(job));
  return running.filter(hasOutgrown).filter((job) => {
    const ending = kept.filter((other) => endsWithin(worthMs(job, view), other, view));
    const comesBack = ending.reduce((sum, other) => sum + rssBytes(other), 0);
    return comesBack > 0 && comesBack >= excessBytes;
  });
}

/** Whether jobs that are about to end give back what is lacking: it is worth that the others stand still until then. */
export function comesBackSoon({ excessBytes }: Alarm, view: EnforcementView): boolean {
  const ending = enforcedJobs(view).filter((job) => isMoving(job) && endsWithin(PAUSE_MS, job, view));
  return ending.reduce((sum, job) => sum + rssBytes(job), 0) >= excessBytes;
}

/** Jobs that will take more of what they were promised, and do not end in the next moment. */
export function growing(view: EnforcementView): readonly EnforcedJob[] {
  return enforcedJobs(view).filter(
    (job) => isMoving(job) && growthBytes(job) > LEAST_GROWTH_BYTES && !endsWithin(PAUSE_MS, job, view),
  );
}

/** How long it is worth waiting for room for a job: doing it again costs what its process has taken so far. */
function worthMs({ isRetriable, processSinceMs }: EnforcedJob, { nowMs }: EnforcementView): number {
  return isRetriable ? Math.min(SOON_MS, nowMs - (processSinceMs ?? nowMs)) : SOON_MS;
}

/** Which job that stands still goes on now, or is given up. The one that has stood longest comes first. */
export function decideResume(view: EnforcementView): Step | undefined {
  const running = enforcedJobs(view);
  const stopped = running
    .filter(({ suspension }) => suspension !== undefined)
    .toSorted((a, b) => (a.suspension?.sinceMs ?? 0) - (b.suspension?.sinceMs ?? 0));
  const [first] = stopped;
  if (first === undefined) return undefined;
  const gone = stopped.find((job) => rssBytes(job) === 0);
  if (gone !== undefined) return resume(gone, "gone", "its process has ended");
  if (view.isDraining) return resume(first, "drain", "the worker drains");
  // One that is between two files moves too.
  if (stopped.length === running.length) return resume(first, "alone", "no other job runs");
  const expired = stopped.find((job) => job.suspendedMs + standsMs(job, view) >= MOST_MS);
  if (expired !== undefined) return decideExpired(expired, view);
  if ((view.pressure?.memoryFull ?? 0) > CALM_STALL_RATIO) return undefined;
  const fits = stopped.find((job) => standsMs(job, view) >= leastMs(job) && hasRoom(job, view));
  return fits === undefined ? undefined : resume(fits, "room", "there is room for it again");
}

/** It may not stand still any longer: it goes on where that is no danger, and is ended where it is. */
function decideExpired(job: EnforcedJob, view: EnforcementView): Step {
  // One that nobody repeats gets every chance.
  const line = job.isRetriable ? SHORT_RATIO : DANGER_RATIO;
  const worst = view.memory.toSorted((a, b) => fillOf({ level: b }) - fillOf({ level: a }))[0];
  if (worst === undefined || fillOf({ level: worst }) <= line) {
    return resume(job, "time-limit", `it has stood still for ${MOST_MS / 1_000} s`);
  }
  const state = `${size(worst.usedBytes)} of ${size(worst.limitBytes)} of the ${worst.name} still in use`;
  const message = `time-limit: it stood still for ${MOST_MS / 1_000} s, and ${state}; the job uses ${size(rssBytes(job))}, ${size(job.need.memoryBytes)} were reserved`;
  return { kind: "end", reason: "time-limit", peakBytes: job.peakBytes, ...about(job, message) };
}

function maySuspend(job: EnforcedJob, view: EnforcementView): boolean {
  if (view.isDraining || !isMoving(job) || job.suspendedMs >= MOST_MS) return false;
  return enforcedJobs(view).some((other) => other !== job && isMoving(other));
}

/** Runs a process that is not stopped. */
function isMoving(job: EnforcedJob): boolean {
  return job.suspension === undefined && job.pid !== undefined && rssBytes(job) > 0;
}

/** An estimate that has just passed still says "soon"; one that is long past says nothing. */
function endsWithin(ms: number, { endsAtMs }: EnforcedJob, { nowMs }: EnforcementView): boolean {
  return endsAtMs !== undefined && Math.abs(endsAtMs - nowMs) <= ms;
}

function leastMs(job: EnforcedJob): number {
  return hasOutgrown(job) ? LEAST_MS : LEAST_PAUSE_MS;
}

/** One that keeps its promise goes on as soon as all of that is below the line of danger. */
function hasRoom(job: EnforcedJob, view: EnforcementView): boolean {
  return view.memory.every((level) => {
    const line = hasOutgrown(job)
      ? Math.min(ROOM_RATIO * level.limitBytes, ceilingBytes(level, view) - HYSTERESIS_RATIO * level.limitBytes)
      : PAUSED_RATIO * level.limitBytes;
    return level.usedBytes + growthBytes(job) <= line;
  });
}

function resume(job: EnforcedJob, reason: ResumeReason, why: string): Step {
  return { kind: "resume", reason, ...about(job, `goes on: ${why}`) };
}
