/** How fast this worker does jobs of each profile: what the scale signal reckons with. */
import type { WorkerPace } from "../contract/scaling.ts";
import type { Clock } from "../platform/clock.ts";

/** The weight of a job that has just ended among those before it. */
const NEW_SHARE = 0.1;
/** The most at a time is forgotten after this, where fewer have run since. */
const RECENT_MS = 600_000;

interface Seen {
  jobMs: number | undefined;
  now: number;
  most: number;
  mostAtMs: number;
}

export class Pace {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #seen = new Map<string, Seen>();

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  began(profile: string): void {
    const seen = this.#seen.get(profile) ?? { jobMs: undefined, now: 0, most: 0, mostAtMs: 0 };
    this.#seen.set(profile, seen);
    seen.now += 1;
    const nowMs = this.#clock.monotonicMs();
    if (seen.now < seen.most && nowMs - seen.mostAtMs < RECENT_MS) return;
    seen.most = seen.now;
    seen.mostAtMs = nowMs;
  }

  /** `ms`: what the job took; undefined for one that was given back, which says nothing. */
  ended(profile: string, ms: number | undefined): void {
    const seen = this.#seen.get(profile);
    if (seen === undefined) return;
    seen.now -= 1;
    if (ms !== undefined) seen.jobMs = seen.jobMs === undefined ? ms : seen.jobMs + NEW_SHARE * (ms - seen.jobMs);
  }

  /** Of the profiles of which a job has ended here. */
  get told(): readonly WorkerPace[] {
    return [...this.#seen].flatMap(([profile, { jobMs, most }]) =>
      jobMs === undefined ? [] : [{ profile, jobMs: Math.round(jobMs), jobsAtOnce: most }],
    );
  }
}
