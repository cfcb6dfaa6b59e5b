/**
 * Keep enforcing (law 2): what runs is measured, and when something gets short one job gives way before the kernel picks
 * one. Pure. The ladder: nothing more is admitted (the gates) → a job that takes more of the cores than was reserved is
 * slowed (cpu-priority.ts) → one is stopped for a while, and goes on when there is room (suspension.ts) → one is ended and
 * tried again with more.
 *
 * Whom, for memory: a job that outgrew its promise before any that kept it. Stopped are those that nobody repeats; while
 * there is no danger yet, one that others will soon make room for; and in danger those that keep their promises and grow,
 * one after the other, while others end in the next second. Ended is the one whose process started last of
 * those that alone bring the use below the line; when none does alone, the largest, so that the fewest are ended. Above
 * 97 % there is no time for anything else, and not even the last job of a worker, or one that nobody repeats, is spared.
 */
import { decidePriority } from "./cpu-priority.ts";
import { decideAlarm, fillOf, type Alarm } from "./memory-alarm.ts";
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
  type Eviction,
  type Step,
} from "./step.ts";
import { comesBackSoon, decideResume, decideSuspension, growing, worthWaiting } from "./suspension.ts";

const LAST_RATIO = 0.97;
const STALL_SETTLES_MS = 2_000;

/** Decides what to do now, if anything. After an `end` the caller asks again only once that job has gone. */
export function decideStep(view: EnforcementView): Step | undefined {
  return decideMemory(view) ?? decideResume(view) ?? decidePriority(view);
}

function decideMemory(view: EnforcementView): Step | undefined {
  const alarm = decideAlarm(view);
  if (alarm === undefined) return undefined;
  switch (alarm.reason) {
    case "memory-short":
      return decideSuspension(worthWaiting(alarm, view), alarm, view);
    case "memory-threshold":
      return decideAtThreshold(alarm, view);
    case "memory-limit":
    case "memory-pressure":
      return decideInDanger(alarm, view);
  }
}

/** Only jobs that outgrew their promises give way, and one that stands still has done so. */
function decideAtThreshold(alarm: Alarm, view: EnforcementView): Step | undefined {
  const outgrown = enforcedJobs(view).filter((job) => hasOutgrown(job) && job.suspension === undefined);
  if (isLastOfAll(alarm, view)) return undefined;
  return (
    decideSuspension(worthWaiting(alarm, view), alarm, view) ??
    end(outgrown.filter(isRetriable), alarm) ??
    decideSuspension(outgrown, alarm, view)
  );
}

function decideInDanger(alarm: Alarm, view: EnforcementView): Step | undefined {
  if (isLastOfAll(alarm, view)) return undefined;
  const running = enforcedJobs(view);
  const outgrown = running.filter(hasOutgrown);
  const isLate = fillOf(alarm) > LAST_RATIO;
  const suspend = (jobs: readonly EnforcedJob[]) => (isLate ? undefined : decideSuspension(jobs, alarm, view));
  const againstOutgrown = end(outgrown.filter(isRetriable), alarm) ?? suspend(outgrown);
  if (againstOutgrown !== undefined || isSettling(alarm, view)) return againstOutgrown;
  const passes = isLate ? undefined : decidePassing(alarm, view);
  if (passes !== undefined) return passes === "wait" ? undefined : passes;
  return (
    end(running.filter(isRetriable), alarm) ??
    suspend(running) ??
    // Better a job that nobody repeats than what the kernel would pick.
    (isLate ? end(outgrown.length > 0 ? outgrown : running, alarm) : undefined)
  );
}

/**
 * What is done while others are about to give back what is lacking: one that grows is stopped, or nothing where none does.
 * Undefined where none are, or where one that grows may not be stopped and would take what they give back.
 */
function decidePassing(alarm: Alarm, view: EnforcementView): Step | "wait" | undefined {
  if (alarm.reason !== "memory-limit" || !comesBackSoon(alarm, view)) return undefined;
  const jobs = growing(view);
  return jobs.length === 0 ? "wait" : decideSuspension(jobs, alarm, view);
}

/**
 * Whether one that outgrew its promise was stopped and that may be enough: jobs that kept theirs are not ended for it as long
 * as they grow no further than to the last line. Stalls take a while to show that they have gone.
 */
function isSettling(alarm: Alarm, view: EnforcementView): boolean {
  const stopped = enforcedJobs(view).filter((job) => hasOutgrown(job) && job.suspension !== undefined);
  if (stopped.length === 0 || fillOf(alarm) > LAST_RATIO) return false;
  return alarm.reason === "memory-limit" || stopped.some((job) => standsMs(job, view) < STALL_SETTLES_MS);
}

/** The last job of a worker is spared as long as the machine itself is not in danger. */
function isLastOfAll(alarm: Alarm, view: EnforcementView): boolean {
  return enforcedJobs(view).length <= 1 && fillOf(alarm) <= LAST_RATIO;
}

function isRetriable(job: EnforcedJob): boolean {
  return job.isRetriable;
}

function end(candidates: readonly EnforcedJob[], alarm: Alarm): Eviction | undefined {
  const youngest = youngestFirst(candidates);
  const enough = youngest.find((job) => rssBytes(job) > 0 && rssBytes(job) >= alarm.excessBytes);
  const chosen = enough ?? youngest.toSorted((a, b) => rssBytes(b) - rssBytes(a))[0];
  if (chosen === undefined) return undefined;
  const { level, reason } = alarm;
  const state = `${size(level.usedBytes)} of ${size(level.limitBytes)} of the ${level.name} in use`;
  const has = `the job uses ${size(rssBytes(chosen))}, ${size(chosen.need.memoryBytes)} were reserved`;
  return { kind: "end", reason, peakBytes: chosen.peakBytes, ...about(chosen, `${reason}: ${state}; ${has}`) };
}
