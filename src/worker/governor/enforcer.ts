/**
 * Acts on what enforcement decides, one job at a time. States: `watching`; `ending` one job, until its process is gone or
 * patience is: then another one may be chosen. A job that runs many files loses only the process of the present one and
 * goes on, so "gone" is seen in what it uses, or in its release.
 */
import type { Logger } from "../../platform/logger.ts";
import { decideEviction, type EnforcementView, type Eviction } from "./enforcement.ts";
import type { Reservation } from "./reservations.ts";

const PATIENCE_MS = 5_000;
/** What is left of the use of a job once its process is gone, at most. */
const GONE_RATIO = 0.5;

interface Ending {
  readonly jobId: string;
  readonly rssBytes: number;
  readonly atMs: number;
}

export interface EnforcerDeps {
  readonly logger: Logger;
  readonly evict: (eviction: Eviction) => void;
  /** The job that was ended is gone. */
  readonly onGone: (nowMs: number) => void;
}

export class Enforcer {
  readonly #deps: EnforcerDeps;
  #ending: Ending | undefined;
  #lastJobId: string | undefined;

  constructor(deps: EnforcerDeps) {
    this.#deps = deps;
  }

  /** Whether a job was ended whose memory is not back yet. */
  get isEnding(): boolean {
    return this.#ending !== undefined;
  }

  /** Whether this job was the last one to be ended. */
  wasEnded(jobId: string): boolean {
    return this.#lastJobId === jobId;
  }

  /** Looks once; ends at most one job. */
  enforce(view: Omit<EnforcementView, "jobs">, jobs: readonly Reservation[], nowMs: number): void {
    this.#settle(jobs, nowMs);
    const ending = this.#ending;
    if (ending !== undefined && nowMs - ending.atMs < PATIENCE_MS) return;
    if (ending !== undefined) {
      this.#deps.logger.warn(
        { jobId: ending.jobId },
        "job was ended for memory and is still here, looking for another",
      );
    }
    const eviction = decideEviction({ ...view, jobs: jobs.filter((job) => job.jobId !== ending?.jobId) });
    if (eviction === undefined) return;
    const rssBytes = jobs.find((job) => job.jobId === eviction.jobId)?.usage?.rssBytes ?? 0;
    this.#ending = { jobId: eviction.jobId, rssBytes, atMs: nowMs };
    this.#lastJobId = eviction.jobId;
    this.#deps.logger.warn({ ...eviction }, "governor ends a job for its memory");
    this.#deps.evict(eviction);
  }

  /** Sees whether the job that was ended has gone. */
  #settle(jobs: readonly Reservation[], nowMs: number): void {
    if (this.#ending === undefined) return;
    const { jobId, rssBytes } = this.#ending;
    const job = jobs.find((candidate) => candidate.jobId === jobId);
    const isGone = job === undefined || (job.usage?.rssBytes ?? 0) < GONE_RATIO * rssBytes;
    if (!isGone) return;
    this.#ending = undefined;
    this.#deps.onGone(nowMs);
  }
}
