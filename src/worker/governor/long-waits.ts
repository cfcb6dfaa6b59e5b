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

/** Since when queues that hold a job find no room. */
export class LongWaits {
  readonly #sinceMs = new Map<string, number>();

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
   * The view with the room that is kept for the queue that has waited longest, if one has waited long. `nowMs`: by the
   * clock of the reservations.
   */
  hold(
    view: AdmissionView,
    waiting: Pick<WaitingReasons, "queuesWithoutRoom" | "requestOf">,
    running: readonly Reservation[],
    nowMs: number,
  ): AdmissionView {
    const longest = this.#longest(waiting.queuesWithoutRoom, view.nowMs);
    const request = longest && waiting.requestOf(longest.queue);
    if (longest === undefined || request === undefined) return view;
    const held = heldOf({ request, waitedMs: longest.waitedMs, running, nowMs }, view);
    return held === undefined ? view : { ...view, held };
  }

  #longest(withoutRoom: readonly string[], nowMs: number): { queue: string; waitedMs: number } | undefined {
    let longest: { queue: string; waitedMs: number } | undefined;
    for (const queue of withoutRoom) {
      const waitedMs = nowMs - (this.#sinceMs.get(queue) ?? nowMs);
      if (waitedMs >= LONG_MS && waitedMs > (longest?.waitedMs ?? 0)) longest = { queue, waitedMs };
    }
    return longest;
  }
}

interface HeldFacts {
  /** The next job of the queue that has waited longest. */
  readonly request: Request;
  readonly waitedMs: number;
  readonly running: readonly Reservation[];
  /** By the clock of the reservations. */
  readonly nowMs: number;
}

/**
 * What is kept for the job that has waited longest: from when on, and what is left beside it then. Undefined when no end
 * of a job of ours would let it in: what is in its way is not ours.
 */
function heldOf({ request, waitedMs, running, nowMs }: HeldFacts, view: AdmissionView): Held | undefined {
  const jobs = running.filter((job) => !job.isInside);
  const empty = running.reduce(withoutJob, view);
  if (jobs.length === 0 || decideAdmission(request, empty).kind !== "admit") return undefined;
  const startsInMs = estimateWaitMs(request, view, running, nowMs);
  const outlasts = ({ endsAtMs }: Reservation) =>
    startsInMs === null || endsAtMs === undefined || endsAtMs - nowMs > startsInMs;
  const others = jobs.filter(outlasts);
  return {
    queue: request.queue ?? "",
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
