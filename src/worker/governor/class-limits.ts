/**
 * Limits for profiles whose jobs mostly wait: from jobs as they end to cohorts, and from these to a limit (knee.ts).
 *
 * By Little's law the throughput of a cohort is the jobs that ran at a time, times their work over their time; what is
 * counted in a window would jump with each job that ends just before or after its edge. Jobs that began under another limit
 * are left out of a cohort, and one during which clearly fewer ran than might is thrown away: it says nothing of the limit.
 */
import { mostProcesses } from "./cores.ts";
import { abandonProbe, decideKnee, firstKnee, growBlindly, type Knee } from "./knee.ts";

/** A job that has ended. */
export interface EndedJob {
  readonly queue: string;
  readonly ms: number;
  /** CPU time of its processes and of the worker for them. */
  readonly cpuMs: number;
  /** Of those processes that ended well; 1: a usual one. */
  readonly work: number;
}

export interface ClassLimit {
  readonly limit: number;
  /** Cores that a job uses over its whole time, what is done around its processes included. */
  readonly cores: number;
}

interface Running {
  readonly queue: string;
}

interface Window {
  /** Jobs that began under another limit and have not ended yet. */
  toSkip: number;
  /** Jobs that have ended in it, and those of them that count. */
  ends: number;
  ended: number;
  work: number;
  ms: number;
  /** Running jobs times ms, and how many ms. */
  runningMs: number;
  watchedMs: number;
}

interface ProfileState {
  knee: Knee;
  cores: number;
  ended: number;
  running: number;
  window: Window;
}

const MAX_PROFILES = 1_000;
const RISING = 0.2;
/** A job that waits for a core uses less of one: what was seen while there was room counts for long. */
const FALLING = 0.002;
const KNOWN_AFTER = 3;
/** A job that uses less than this much of a core waits for other things most of its time. */
const WAITS_BELOW = 0.5;
/** Below this share of the limit there were not enough jobs to say anything of it. */
const FILLED = 0.8;
const BLIND_MS = 2_000;
const FIRST_PER_CORE = 2;
const LEAST_GROWING = 4;
const LEAST_STEADY = 8;

export class ClassLimits {
  readonly #profiles = new Map<string, ProfileState>();
  readonly #limits = new Map<string, ClassLimit>();
  #readAtMs: number | undefined;

  /** By profile (`profileOf`). */
  get all(): ReadonlyMap<string, ClassLimit> {
    return this.#limits;
  }

  /** A job has ended, on a worker with so many cores. */
  noteEnd(job: EndedJob, cpuCores: number): void {
    // One that has run no process to its end says nothing: it failed, or was put into another queue.
    if (job.ms <= 0 || job.work <= 0) return;
    const profile = profileOf(job.queue);
    const state = this.#profiles.get(profile) ?? this.#begin(profile, job, cpuCores);
    const more = job.cpuMs / job.ms - state.cores;
    state.cores += (more > 0 ? RISING : FALLING) * more;
    state.ended += 1;
    if (state.ended < KNOWN_AFTER || state.cores >= WAITS_BELOW) {
      this.#limits.delete(profile);
      return;
    }
    count(state, job, mostProcesses(cpuCores));
    this.#show(profile, state);
  }

  /** What runs now, and on how many cores. Called several times a second. */
  noteRunning(jobs: readonly Running[], nowMs: number, cpuCores: number): void {
    const passedMs = nowMs - (this.#readAtMs ?? nowMs);
    this.#readAtMs = nowMs;
    for (const profile of this.#limits.keys()) {
      const state = this.#profiles.get(profile);
      if (state === undefined) continue;
      state.running = jobs.filter(({ queue }) => profileOf(queue) === profile).length;
      watch(state, passedMs, mostProcesses(cpuCores));
      this.#show(profile, state);
    }
  }

  #begin(profile: string, job: EndedJob, cpuCores: number): ProfileState {
    if (this.#profiles.size >= MAX_PROFILES) {
      this.#profiles.clear();
      this.#limits.clear();
    }
    const knee = firstKnee(Math.ceil(FIRST_PER_CORE * cpuCores));
    const state = { knee, cores: job.cpuMs / job.ms, ended: 0, running: 0, window: openWindow(0) };
    this.#profiles.set(profile, state);
    return state;
  }

  #show(profile: string, { knee, cores }: ProfileState): void {
    this.#limits.set(profile, { limit: knee.limit, cores });
  }
}

/** The job name and profile of a queue: its jobs are limited together, whatever their size. */
export function profileOf(queue: string): string {
  return queue.slice(0, queue.lastIndexOf("@"));
}

function openWindow(toSkip: number): Window {
  return { toSkip, ends: 0, ended: 0, work: 0, ms: 0, runningMs: 0, watchedMs: 0 };
}

function watch(state: ProfileState, passedMs: number, most: number): void {
  const { window, knee, running } = state;
  window.runningMs += running * passedMs;
  window.watchedMs += passedMs;
  const isBlind = knee.phase === "growing" && window.ends === 0 && window.watchedMs >= BLIND_MS;
  if (isBlind && meanRunning(window) >= FILLED * knee.limit) moveOn(state, growBlindly(knee, most));
}

/** Takes a job into the cohort; decides when that is complete. */
function count(state: ProfileState, job: EndedJob, most: number): void {
  const { window, knee } = state;
  window.ends += 1;
  if (window.toSkip > 0) {
    window.toSkip -= 1;
    return;
  }
  window.ended += 1;
  window.work += job.work;
  window.ms += job.ms;
  const enough =
    knee.phase === "growing" ? Math.max(LEAST_GROWING, knee.limit) : Math.max(LEAST_STEADY, 2 * knee.limit);
  if (window.ended < enough || window.watchedMs === 0) return;
  const running = meanRunning(window);
  if (running < FILLED * knee.limit) moveOn(state, abandonProbe(knee));
  else if (window.work > 0) {
    const cohort = { rate: (1_000 * running * window.work) / window.ms, msPerWork: window.ms / window.work };
    moveOn(state, decideKnee(knee, cohort, most));
  } else state.window = openWindow(0);
}

function moveOn(state: ProfileState, next: Knee): void {
  state.window = openWindow(next.limit === state.knee.limit ? 0 : state.running);
  state.knee = next;
}

function meanRunning({ runningMs, watchedMs }: Window): number {
  return watchedMs === 0 ? 0 : runningMs / watchedMs;
}
