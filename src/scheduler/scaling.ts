/**
 * How many workers are wanted. Pure: from the jobs that could begin now, from what a worker was seen to do, and from what was
 * wanted before.
 *
 * The jobs of a profile that need the same labels ask for as many workers as begin them all within the target, and for no more
 * than could have a job each (long jobs). Jobs with other labels are for other workers, so they are decided apart. More are
 * wanted at once; fewer only when the most of a whole cooldown was fewer. What more workers would not begin (paused, too large,
 * not due) is never counted.
 */
import {
  partKey,
  workersWanted,
  type ProfileScaling,
  type ScalingSignal,
  type WorkerPace,
} from "../contract/scaling.ts";

export interface ScalingSettings {
  readonly targetWaitMs: number;
  readonly minWorkers: number;
  readonly maxWorkers: number;
  readonly cooldownMs: number;
  /** What a worker that leaves gives its jobs to end: longer ones are lost work. */
  readonly drainMs: number;
}

export interface ProfileFacts extends Pick<
  ProfileScaling,
  "profile" | "labels" | "runnable" | "heldByGovernors" | "notRunnable" | "active" | "workers"
> {
  /** One per worker that may serve these jobs and tells one. */
  readonly paces: readonly WorkerPace[];
  /** What was told when such workers lived last. */
  readonly remembered: Pick<WorkerPace, "jobMs" | "jobsAtOnce"> | undefined;
  /** Jobs of it at a time that a live worker has room for by its size; undefined without one. */
  readonly roomForJobs: number | undefined;
  /** How long the job of it that began first runs by now. */
  readonly longestRunMs: number;
  /** A scan waits for these jobs before it adds more. */
  readonly hasMore: boolean;
}

export interface ScalingFacts {
  readonly nowMs: number;
  readonly isPaused: boolean;
  /** Once for each profile and the labels that some of its queues ask for. */
  readonly profiles: readonly ProfileFacts[];
}

/** What is taken of jobs that nobody has run yet. */
const ASSUMED = { jobMs: 10_000, jobsAtOnce: 1 } as const;
type Pace = ProfileScaling["pace"];

/** Decides anew. `before`: what was decided last, if that is known. */
export function decideScaling(
  facts: ScalingFacts,
  settings: ScalingSettings,
  before: ScalingSignal | undefined,
): ScalingSignal {
  const known = new Map(before?.profiles.map((one) => [partKey(one), one]));
  const profiles = withoutIdle(
    facts.profiles.map((one) => decideProfile(one, { ...facts, settings, before: known.get(partKey(one)) })),
  );
  const { nowMs, isPaused } = facts;
  const { minWorkers, maxWorkers } = settings;
  const limits = { minWorkers, maxWorkers };
  return { value: workersWanted(profiles, { isPaused, limits }), atMs: nowMs, isPaused, limits, profiles };
}

/** A queue is known for ever: labels that no job of a profile asks for any more are not told, but every profile is. */
function withoutIdle(decided: readonly ProfileScaling[]): readonly ProfileScaling[] {
  const told = decided.filter(
    ({ active, notRunnable: { paused, delayed, unschedulable }, ...one }) =>
      runnableOf(one) + active + paused + delayed + unschedulable > 0 || (one.peaks[0]?.needed ?? one.needed) > 0,
  );
  const profiles = new Set(told.map(({ profile }) => profile));
  return decided.filter((one) => {
    if (told.includes(one)) return true;
    const isFirst = !profiles.has(one.profile);
    profiles.add(one.profile);
    return isFirst;
  });
}

interface Round extends Pick<ScalingFacts, "nowMs" | "isPaused"> {
  readonly settings: ScalingSettings;
  readonly before: ProfileScaling | undefined;
}

function decideProfile(facts: ProfileFacts, round: Round): ProfileScaling {
  const { settings, isPaused } = round;
  const pace = paceOf(facts);
  const needed = isPaused ? facts.workers.busy : neededFor(facts, pace, settings);
  const peaks = isPaused ? [] : peaksWith(round.before?.peaks ?? [], needed, round);
  const most = peaks[0]?.needed ?? needed;
  const value = workersWanted([{ needed, peaks }], { isPaused, limits: settings });
  const { profile, labels, runnable, heldByGovernors, notRunnable, active, workers } = facts;
  const reasons = reasonsFor(facts, { ...round, pace, needed, most });
  return {
    ...{ profile, value, needed, peaks, labels, runnable, heldByGovernors, notRunnable, active, workers, pace },
    reasons,
  };
}

function paceOf({ paces, remembered, roomForJobs, longestRunMs }: ProfileFacts): Pace {
  if (paces.length > 0) {
    const mean = (of: (pace: WorkerPace) => number) => paces.reduce((sum, one) => sum + of(one), 0) / paces.length;
    // A worker with little to do shows less than it can; the fullest shows what one of them takes.
    const jobsAtOnce = Math.max(1, ...paces.map((pace) => pace.jobsAtOnce));
    return { jobMs: mean((pace) => pace.jobMs), jobsAtOnce, basis: "measured" };
  }
  if (remembered !== undefined) return { ...remembered, basis: "remembered" };
  // The first jobs may be long: what one of them takes already is the least that they take.
  const jobMs = Math.max(ASSUMED.jobMs, longestRunMs);
  return { jobMs, jobsAtOnce: Math.max(1, roomForJobs ?? ASSUMED.jobsAtOnce), basis: "assumed" };
}

function neededFor(facts: ProfileFacts, pace: Pace, { targetWaitMs, drainMs }: ScalingSettings): number {
  const { active, workers } = facts;
  const jobs = runnableOf(facts) + active;
  const perWorker = pace.jobsAtOnce;
  // What runs is ended where it runs: short jobs within a drain, long ones only if their workers stay.
  const held = pace.jobMs > drainMs ? workers.busy : active / perWorker;
  if (runnableOf(facts) === 0) return held;
  const inTime = (jobs * pace.jobMs) / (perWorker * targetWaitMs);
  const asked = Math.max(held, Math.min(jobs / perWorker, inTime));
  // The backlog is as large as a scan lets it be, not as large as the run: twice the workers show whether that is enough.
  const grown = facts.hasMore ? Math.max(asked, 2 * workers.live) : asked;
  // Nothing is known of these jobs: a few workers find out what the others would be needed for.
  return pace.basis === "assumed" ? Math.min(grown, Math.max(1, 2 * workers.live)) : grown;
}

function runnableOf({ runnable }: Pick<ProfileFacts, "runnable">): number {
  return runnable.waiting + runnable.prioritized + runnable.due;
}

/** The most of each such part of the cooldown is kept, so that there are never many. */
const COOLDOWN_PARTS = 60;

/** Needs within the cooldown of which none is followed by a larger one: the first is the largest. */
function peaksWith(
  before: ProfileScaling["peaks"],
  needed: number,
  { nowMs, settings }: Pick<Round, "nowMs" | "settings">,
): ProfileScaling["peaks"] {
  const { cooldownMs } = settings;
  const kept = before.filter((peak) => nowMs - peak.atMs < cooldownMs && peak.needed > needed);
  const last = kept.at(-1);
  if (last !== undefined && nowMs - last.atMs < cooldownMs / COOLDOWN_PARTS) return kept;
  return [...kept, { atMs: nowMs, needed }];
}

interface Decided extends Round {
  readonly pace: Pace;
  readonly needed: number;
  readonly most: number;
}

function reasonsFor(facts: ProfileFacts, decided: Decided): string[] {
  const { pace, needed, most, isPaused, settings } = decided;
  const { notRunnable, heldByGovernors, active, workers } = facts;
  const waiting = runnableOf(facts);
  if (isPaused) return [`every worker is paused by hand; ${workers.busy} of them still end what they hold`];
  const reasons: string[] = [];
  const tell = (isSo: boolean, text: string) => {
    if (isSo) reasons.push(text);
  };
  const seconds = Math.round(pace.jobMs / 100) / 10;
  tell(
    waiting > 0,
    `${waiting} jobs could begin and ${active} run; a worker does ${round(pace.jobsAtOnce)} at a time in ${seconds} s each (${pace.basis}), ` +
      `all are to begin within ${settings.targetWaitMs / 1_000} s: ${round(needed)} workers`,
  );
  tell(waiting === 0, `nothing waits that could begin, ${active} jobs run`);
  tell(facts.hasMore && waiting > 0, "a scan waits for these before it adds more");
  tell(heldByGovernors > 0, `${heldByGovernors} of them found no room on a worker that is there`);
  tell(notRunnable.paused > 0, `${notRunnable.paused} jobs are in paused queues and do not count`);
  tell(notRunnable.delayed > 0, `${notRunnable.delayed} jobs wait for their time or an answer and do not count`);
  tell(
    notRunnable.unschedulable > 0,
    `${notRunnable.unschedulable} jobs fit no worker, so more of them would not help`,
  );
  tell(most > needed, `${round(most)} workers were needed within the last ${settings.cooldownMs / 1_000} s`);
  tell(most > settings.maxWorkers, `scaling.max_workers is ${settings.maxWorkers}`);
  tell(most < settings.minWorkers, `scaling.min_workers is ${settings.minWorkers}`);
  return reasons;
}

function round(figure: number): number {
  return Math.round(figure * 100) / 100;
}
