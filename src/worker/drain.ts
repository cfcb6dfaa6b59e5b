/**
 * How a worker comes to hold no job, be it for a signal, for its operations port or because somebody asked: one way for all.
 *
 * `serving` → `draining`: nothing is claimed any more; scans are handed back, chunks begin no further file and hand back those
 * that they have not begun; what runs may end. After the grace it is ended and handed back, and burns no attempt.
 * `draining` → `drained`: nothing is held. Both → `serving` by `undo`, unless the process stops.
 */
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Executors } from "./executors.ts";
import type { Governor } from "./governor/governor.ts";
import type { HeldJobs } from "./held-jobs.ts";
import type { PullLoop } from "./pull-loop.ts";

export interface DrainDeps {
  readonly loop: Pick<PullLoop, "drain" | "resume" | "settled">;
  readonly governor: Pick<Governor, "hold">;
  readonly executors: Pick<Executors, "setWindingDown">;
  readonly held: Pick<HeldJobs, "all" | "handBack">;
  readonly clock: Clock;
  readonly logger: Logger;
  onMove(to: "draining" | "working"): void;
}

export interface DrainProgress {
  readonly state: "serving" | "draining" | "drained";
  /** Jobs that are still held. */
  readonly running: number;
  /** When what still runs is handed back, in ms from now; null when nothing has to be. */
  readonly handBackInMs: number | null;
}

interface Round {
  readonly over: AbortController;
  readonly ended: Promise<void>;
  isDrained: boolean;
  handBackAtMs: number;
}

export class Drain {
  readonly #deps: DrainDeps;
  #round: Round | undefined;
  #isStopping = false;

  constructor(deps: DrainDeps) {
    this.#deps = deps;
  }

  get progress(): DrainProgress {
    const round = this.#round;
    const running = this.#deps.held.all.length;
    if (round === undefined) return { state: "serving", running, handBackInMs: null };
    if (round.isDrained) return { state: "drained", running, handBackInMs: null };
    const handBackInMs = Math.max(0, Math.round(round.handBackAtMs - this.#deps.clock.monotonicMs()));
    return { state: "draining", running, handBackInMs };
  }

  /** Resolves when nothing is held, or the drain was undone. A later call joins it, and the shorter grace counts. */
  async begin(graceMs: number, deadline?: AbortSignal): Promise<void> {
    const round = (this.#round ??= this.#open());
    const { clock } = this.#deps;
    round.handBackAtMs = Math.min(round.handBackAtMs, clock.monotonicMs() + graceMs);
    void this.#handBackLate(round, graceMs, deadline);
    await Promise.race([round.ended, aborted(round.over.signal)]);
  }

  /** For good: it cannot be undone any more. */
  beginLast(graceMs: number, deadline: AbortSignal | undefined): Promise<void> {
    this.#isStopping = true;
    return this.begin(graceMs, deadline);
  }

  /** Claims again, unless the process is about to end. */
  undo(): void {
    const round = this.#round;
    if (round === undefined || this.#isStopping) return;
    const { governor, executors, loop } = this.#deps;
    this.#round = undefined;
    round.over.abort();
    governor.hold({ isDraining: false });
    executors.setWindingDown(false);
    this.#deps.onMove("working");
    loop.resume();
  }

  #open(): Round {
    const { governor, executors } = this.#deps;
    this.#deps.onMove("draining");
    governor.hold({ isDraining: true });
    executors.setWindingDown(true);
    const over = new AbortController();
    return { over, ended: this.#empty(over), isDrained: false, handBackAtMs: Infinity };
  }

  async #empty(over: AbortController): Promise<void> {
    const { loop, held, logger } = this.#deps;
    await loop.drain();
    if (isOver(over)) return;
    // A scan may wait for chunks that nobody claims here any more.
    held.handBack(({ jobName }) => jobName === "scan");
    await loop.settled();
    if (isOver(over) || this.#round === undefined) return;
    this.#round.isDrained = true;
    logger.info({}, "worker holds no job any more");
    over.abort();
  }

  async #handBackLate({ over }: Round, graceMs: number, deadline: AbortSignal | undefined): Promise<void> {
    const { clock, held, logger } = this.#deps;
    const ended = AbortSignal.any([over.signal, ...(deadline === undefined ? [] : [deadline])]);
    // Woken early by the end of the drain, by its being undone, or by the deadline of the process.
    await clock.sleep(graceMs, ended).catch(() => undefined);
    if (over.signal.aborted || held.all.length === 0) return;
    logger.warn({ jobs: held.all.map(({ jobId }) => jobId) }, "drain time is over, handing running jobs back");
    held.handBack(() => true);
  }
}

/** A question of its own, because the compiler takes what it saw before an `await` for granted. */
function isOver({ signal }: AbortController): boolean {
  return signal.aborted;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => {
      resolve();
    });
  });
}
