/**
 * Room kept for what has waited long. Small jobs that keep a worker full would keep a large one waiting for ever: each
 * place that becomes free is too small for it, and taken at once. So the queue that has waited longest without room gets
 * a date: the moment T* at which enough of the running jobs are expected to have ended. Until it starts, others may begin
 * only if they end before T*, or fit beside it then (EASY back-filling: Lifka, "The ANL/IBM SP scheduling system", 1995).
 */
import { decideAdmission } from "./admission.ts";
import type { AdmissionView, Held, Request } from "./admission-view.ts";
import { usableRoom } from "./memory-rules.ts";
import { committedBytes, type Reservation } from "./reservations.ts";
import { estimateWaitMs, withoutJob, type WaitingReasons } from "./waiting.ts";

/** So long a queue may find no room before others wait for it. */
const LONG_MS = 10_000;

/** A leased room whose lease was not heard of for so long is nobody's. */
export const LEASE_MS = 5_000;
/** So many queues a worker offers to keep room for; the others come once a job of one of these has started. */
const MOST_OFFERS = 4;

/** Room that this worker could keep for the next job of a queue that has waited long. */
export interface RoomOffer {
  readonly queue: string;
  /** The next job of the queue, where that was seen. */
  readonly jobId: string | undefined;
  readonly waitedMs: number;
  /** When the job could start here; null when nobody can say. */
  readonly startsInMs: number | null;
}

type Waiting = Pick<WaitingReasons, "queuesWithoutRoom" | "requestOf">;

interface LongWait {
  readonly queue: string;
  readonly waitedMs: number;
}

/**
 * Since when queues that hold a job find no room, and for which of them room is kept here.
 *
 * A worker that is alone keeps room for what has waited longest. In a cluster (`share`) it does so for a queue whose lease
 * it was told to have (`lease`). Where nothing is heard of leases for LEASE_MS, for Redis is away, it decides as if alone.
 */
export class LongWaits {
  readonly #sinceMs = new Map<string, number>();
  #isShared = false;
  #leased: ReadonlySet<string> = new Set();
  #leasedAtMs = -Infinity;

  /** From now on room is kept only for whom this worker has a lease. */
  share(): void {
    this.#isShared = true;
  }

  /** The queues whose room is this worker's to keep, by the clock that never goes back. */
  lease(queues: ReadonlySet<string>, nowMs: number): void {
    this.#leased = queues;
    this.#leasedAtMs = nowMs;
  }

  /** `backlog`: queues that hold a job that nobody runs. `withoutRoom`: those that are refused for memory or cores. */
  note(backlog: ReadonlySet<string>, withoutRoom: readonly string[], nowMs: number): void {
    for (const queue of this.#sinceMs.keys()) if (!backlog.has(queue)) this.#sinceMs.delete(queue);
    for (const queue of withoutRoom) {
      if (backlog.has(queue) && !this.#sinceMs.has(queue)) this.#sinceMs.set(queue, nowMs);
    }
  }

  /** A job of the queue was let in. */
  admitted(queue: string): void {
    this.#sinceMs.delete(queue);
  }

  /**
   * The view with the room that is kept for what has waited longest, of what has waited long and is ours to keep room for.
   */
  hold(view: AdmissionView, waiting: Waiting, running: readonly Reservation[]): AdmissionView {
    const kept = this.#kept(this.#long(waiting.queuesWithoutRoom, view.nowMs), view.nowMs);
    const request = kept && waiting.requestOf(kept.queue);
    if (kept === undefined || request === undefined) return view;
    const held = heldOf({ request, waitedMs: kept.waitedMs, running }, view);
    return held === undefined ? view : { ...view, held };
  }

  /** For which queues this worker could keep room, what has waited longest first. */
  offers(view: AdmissionView, waiting: Waiting, running: readonly Reservation[]): readonly RoomOffer[] {
    const { held: _held, ...open } = view;
    return this.#long(waiting.queuesWithoutRoom, view.nowMs)
      .slice(0, MOST_OFFERS)
      .flatMap(({ queue, waitedMs }) => {
        const request = waiting.requestOf(queue);
        const held = request && heldOf({ request, waitedMs, running }, open);
        return held === undefined ? [] : [{ queue, jobId: request?.jobId, waitedMs, startsInMs: held.startsInMs }];
      });
  }

  #kept(long: readonly LongWait[], nowMs: number): LongWait | undefined {
    if (!this.#isShared) return long[0];
    if (nowMs - this.#leasedAtMs < LEASE_MS) return long.find(({ queue }) => this.#leased.has(queue));
    // A wait that became long a moment ago was not asked about yet.
    return long.find(({ waitedMs }) => waitedMs >= LONG_MS + LEASE_MS);
  }

  #long(withoutRoom: readonly string[], nowMs: number): readonly LongWait[] {
    if (this.#sinceMs.size === 0) return [];
    return withoutRoom
      .map((queue) => ({ queue, waitedMs: nowMs - (this.#sinceMs.get(queue) ?? nowMs) }))
      .filter(({ waitedMs }) => waitedMs >= LONG_MS)
      .toSorted((a, b) => b.waitedMs - a.waitedMs);
  }
}

interface HeldFacts {
  /** The next job of the queue that has waited longest. */
  readonly request: Request;
  readonly waitedMs: number;
  readonly running: readonly Reservation[];
}

/**
 * What is kept for the job that has waited longest: from when on, and what is left beside it then. Undefined when no end
 * of a job of ours would let it in: what is in its way is not ours.
 */
function heldOf({ request, waitedMs, running }: HeldFacts, view: AdmissionView): Held | undefined {
  const jobs = running.filter((job) => !job.isInside);
  const empty = running.reduce(withoutJob, view);
  if (jobs.length === 0 || decideAdmission(request, empty).kind !== "admit") return undefined;
  const startsInMs = estimateWaitMs(request, view, running);
  const outlasts = ({ endsAtMs }: Reservation) =>
    startsInMs === null || endsAtMs === undefined || endsAtMs - view.nowMs > startsInMs;
  const others = jobs.filter(outlasts);
  return {
    queue: request.queue ?? "",
    jobId: request.jobId,
    waitedMs,
    startsInMs,
    spareBytes:
      usableRoom(view).usableBytes -
      request.memory.memoryBytes.p95 -
      others.reduce((sum, job) => sum + committedBytes(job), 0),
    spareCores:
      view.kappa * view.cpuCores - request.need.cpuCores - others.reduce((sum, { need }) => sum + need.cpuCores, 0),
  };
}
