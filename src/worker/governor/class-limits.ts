/**
 * Limits for kinds of jobs that mostly wait: from jobs as they end to cohorts, and from these to a limit (knee.ts). A kind is
 * a class of jobs (class-key.ts): two kinds of one profile have a limit each, so one that computes is not held by the other.
 *
 * By Little's law the throughput of a cohort is the jobs that ran at a time, times their work over their time; what is
 * counted in a window would jump with each job that ends just before or after its edge. Jobs that began under another limit
 * are left out of a cohort, and one during which clearly fewer ran than might is thrown away: it says nothing of the limit.
 */
import { mostProcesses } from "./cores.ts";
import { abandonProbe, decideKnee, firstKnee, growBlindly, resumedKnee, type Knee } from "./knee.ts";

/** A job: where it waited, and the key of its class once that is known. */
interface Job {
  readonly queue: string;
  readonly kind?: string | undefined;
}

/** A job that has ended. */
export interface EndedJob extends Job {
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
  /** The job name and profile of its queues (`profileOf`). */
  readonly profile: string;
  /** No other kind of this profile was seen: any job of it is one of this kind. */
  readonly isAlone: boolean;
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

/** What was found of a kind, for a worker that starts. */
export interface FoundLimit {
  readonly kind: string;
  readonly profile: string;
  readonly limit: number;
  readonly cores: number;
}

interface KindState {
  readonly profile: string;
  knee: Knee;
  cores: number;
  ended: number;
  /** Undefined until they were counted for the first time. */
  running: number | undefined;
  window: Window;
}

const MAX_KINDS = 1_000;
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
  readonly #kinds = new Map<string, KindState>();
  readonly #limits = new Map<string, ClassLimit>();
  #readAtMs: number | undefined;

  /** By kind. */
  get all(): ReadonlyMap<string, ClassLimit> {
    return this.#limits;
  }

  /** The best numbers so far. */
  get found(): readonly FoundLimit[] {
    return [...this.#limits].flatMap(([kind, { profile, cores }]) => {
      const limit = this.#kinds.get(kind)?.knee.base?.limit;
      return limit === undefined ? [] : [{ kind, profile, limit, cores }];
    });
  }

  /** Begins with what was found before, unless something is known by now; it is tried further from there. */
  recall({ kind, profile, limit, cores }: FoundLimit): void {
    if (this.#kinds.has(kind) || this.#kinds.size >= MAX_KINDS) return;
    const state = {
      profile,
      cores,
      knee: resumedKnee(limit),
      ended: KNOWN_AFTER,
      running: undefined,
      window: openWindow(0),
    };
    this.#kinds.set(kind, state);
    for (const [other, one] of this.#kinds) if (one.profile === profile) this.#show(other, one);
  }

  /** A job has ended, on a worker with so many cores. */
  noteEnd(job: EndedJob, cpuCores: number): void {
    // One that has run no process to its end says nothing: it failed, or was put into another queue.
    if (job.ms <= 0 || job.work <= 0) return;
    const kind = job.kind ?? profileOf(job.queue);
    const state = this.#kinds.get(kind) ?? this.#begin(kind, job, cpuCores);
    const more = job.cpuMs / job.ms - state.cores;
    state.cores += (more > 0 ? RISING : FALLING) * more;
    state.ended += 1;
    if (state.ended < KNOWN_AFTER || state.cores >= WAITS_BELOW) {
      this.#limits.delete(kind);
      return;
    }
    count(state, job, mostProcesses(cpuCores));
    this.#show(kind, state);
  }

  /** What runs now, and on how many cores. Called several times a second. */
  noteRunning(jobs: readonly Job[], nowMs: number, cpuCores: number): void {
    const passedMs = nowMs - (this.#readAtMs ?? nowMs);
    this.#readAtMs = nowMs;
    for (const [kind, limit] of this.#limits) {
      const state = this.#kinds.get(kind);
      if (state === undefined) continue;
      const running = jobs.filter((job) => isOf(job, kind, limit)).length;
      // Those that run now began before there was a limit.
      if (state.running === undefined) state.window = openWindow(running);
      state.running = running;
      watch(state, passedMs, mostProcesses(cpuCores), running);
      this.#show(kind, state);
    }
  }

  #begin(kind: string, job: EndedJob, cpuCores: number): KindState {
    if (this.#kinds.size >= MAX_KINDS) {
      this.#kinds.clear();
      this.#limits.clear();
    }
    const profile = profileOf(job.queue);
    const knee = firstKnee(Math.ceil(FIRST_PER_CORE * cpuCores));
    const state = { profile, knee, cores: job.cpuMs / job.ms, ended: 0, running: undefined, window: openWindow(0) };
    this.#kinds.set(kind, state);
    // The others of its profile are not alone any more.
    for (const [other, limit] of this.#limits) if (limit.profile === profile) this.#show(other, this.#kinds.get(other));
    return state;
  }

  #show(kind: string, state: KindState | undefined): void {
    if (state === undefined) return;
    const { knee, cores, profile } = state;
    let kinds = 0;
    for (const one of this.#kinds.values()) if (one.profile === profile) kinds += 1;
    this.#limits.set(kind, { limit: knee.limit, cores, profile, isAlone: kinds === 1 });
  }
}

/** The limit of a job's kind and its name; of a job whose kind is not known, that of the only kind of its profile. */
export function limitOf(
  limits: ReadonlyMap<string, ClassLimit> | undefined,
  { queue, kind }: Job,
): (ClassLimit & { readonly kind: string }) | undefined {
  if (limits === undefined || limits.size === 0) return undefined;
  const known = kind ?? profileOf(queue);
  const own = limits.get(known);
  if (own !== undefined) return { ...own, kind: known };
  if (kind !== undefined) return undefined;
  for (const [name, limit] of limits) if (limit.isAlone && limit.profile === known) return { ...limit, kind: name };
  return undefined;
}

/** Whether a running job is of this kind. Before its run was read it is taken for one of the only kind of its profile. */
export function isOf({ queue, kind }: Job, wanted: string, limit: ClassLimit): boolean {
  return limit.isAlone ? profileOf(queue) === limit.profile : kind === wanted;
}

/** The job name and profile of a queue: its jobs are limited together, whatever their size. */
export function profileOf(queue: string): string {
  return queue.slice(0, queue.lastIndexOf("@"));
}

function openWindow(toSkip: number): Window {
  return { toSkip, ends: 0, ended: 0, work: 0, ms: 0, runningMs: 0, watchedMs: 0 };
}

function watch(state: KindState, passedMs: number, most: number, running: number): void {
  const { window, knee } = state;
  window.runningMs += running * passedMs;
  window.watchedMs += passedMs;
  const isBlind = knee.phase === "growing" && window.ends === 0 && window.watchedMs >= BLIND_MS;
  if (isBlind && meanRunning(window) >= FILLED * knee.limit) moveOn(state, growBlindly(knee, most));
}

/** Takes a job into the cohort; decides when that is complete. */
function count(state: KindState, job: EndedJob, most: number): void {
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

function moveOn(state: KindState, next: Knee): void {
  state.window = openWindow(next.limit === state.knee.limit ? 0 : (state.running ?? 0));
  state.knee = next;
}

function meanRunning({ runningMs, watchedMs }: Window): number {
  return watchedMs === 0 ? 0 : runningMs / watchedMs;
}
