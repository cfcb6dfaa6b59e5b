/** Since when and why each queue waits here (law 7), and when its head probably starts. */
import type { WaitingQueue } from "../../contract/status.ts";
import { isUnknown } from "../../platform/learned/calibration.ts";
import { decideAdmission, type Admission } from "./admission.ts";
import type { AdmissionView, Request } from "./admission-view.ts";
import type { Reservation } from "./reservations.ts";

/** An answer that is not "admit". */
export type Wait = Exclude<Admission, { kind: "admit" }>;

/** A moment as the clock of people shows it: all that is kept is by the clock that never goes back. */
export type ToldAt = (atMs: number) => number;

/** Why a queue waited for room the last time, and for how long. */
export interface Refusal {
  readonly code: Wait["code"];
  readonly sinceMs: number;
  readonly untilMs: number;
}

interface WaitingEntry {
  wait: Wait;
  request: Request | undefined;
  sinceMs: number;
}

export class WaitingReasons {
  readonly #byQueue = new Map<string, WaitingEntry>();
  readonly #last = new Map<string, Refusal>();
  #refusingSinceMs: number | undefined;

  /** Remembers why a queue waits. Returns whether that is another reason than before. */
  note(queue: string, wait: Wait, facts: { nowMs: number; request?: Request }): boolean {
    const known = this.#byQueue.get(queue);
    const isNew = known?.wait.code !== wait.code;
    const sinceMs = isNew ? facts.nowMs : known.sinceMs;
    this.#refusingSinceMs ??= facts.nowMs;
    this.#byQueue.set(queue, { wait, request: facts.request, sinceMs });
    return isNew;
  }

  clear(queue: string, nowMs: number): void {
    const entry = this.#byQueue.get(queue);
    if (entry !== undefined) this.#last.set(queue, { code: entry.wait.code, sinceMs: entry.sinceMs, untilMs: nowMs });
    this.#byQueue.delete(queue);
    if (this.#byQueue.size === 0) this.#refusingSinceMs = undefined;
  }

  /** Why this queue waited before it was let in the last time. */
  lastOf(queue: string, told: ToldAt): Refusal | undefined {
    const last = this.#last.get(queue);
    return last && { ...last, sinceMs: told(last.sinceMs), untilMs: told(last.untilMs) };
  }

  /** A job was let in: what still waits has waited for room since then at most. */
  admitted(nowMs: number): void {
    this.#refusingSinceMs = this.#byQueue.size > 0 ? nowMs : undefined;
  }

  /** For how long nothing was let in though something waits; 0 when nothing does. */
  refusingMs(nowMs: number): number {
    return nowMs - (this.#refusingSinceMs ?? nowMs);
  }

  /** What the waiting queues ask for, where that is known. */
  get requests(): readonly Request[] {
    return [...this.#byQueue.values()].flatMap(({ request, wait }) =>
      wait.kind === "defer" && request ? [request] : [],
    );
  }

  /** What the next job of a queue asks for, where that is known. */
  requestOf(queue: string): Request | undefined {
    return this.#byQueue.get(queue)?.request;
  }

  /** The queues whose next job does not fit beside what is promised or in use. */
  get queuesWithoutRoom(): readonly string[] {
    return [...this.#byQueue].flatMap(([queue, { wait }]) =>
      wait.kind === "defer" && (wait.lacking === "memoryBytes" || wait.lacking === "cpuCores") ? [queue] : [],
    );
  }

  /** Whether something waits, and everything that does waits for this. */
  isOnlyFor(code: Wait["code"]): boolean {
    return this.#byQueue.size > 0 && [...this.#byQueue.values()].every(({ wait }) => wait.code === code);
  }

  get size(): number {
    return this.#byQueue.size;
  }

  /** Every waiting queue with its reason. `etaMs` counts from now. */
  list(estimate: (request: Request) => number | null, told: ToldAt): readonly WaitingQueue[] {
    return [...this.#byQueue].map(([queue, { wait, request, sinceMs }]) => ({
      queue,
      code: wait.code,
      message: wait.message,
      sinceMs: told(sinceMs),
      etaMs: request === undefined || wait.kind === "reject" ? null : estimate(request),
      need: wait.need,
      have: wait.have,
    }));
  }
}

/**
 * In how many ms a request would probably be admitted: running jobs are taken out of the view in the order in which
 * they are expected to end, until it fits. Null when it is not told: other things than our jobs are in the way.
 */
export function estimateWaitMs(request: Request, view: AdmissionView, running: readonly Reservation[]): number | null {
  const { nowMs } = view;
  const known = running.flatMap((job) => (job.endsAtMs === undefined ? [] : [{ job, endsAtMs: job.endsAtMs }]));
  let later = view;
  let atMs = nowMs;
  for (;;) {
    const answer = decideAdmission(request, later);
    if (answer.kind === "admit") return Math.max(0, atMs - nowMs);
    if (answer.kind === "reject") return null;
    if (answer.code === "COOLDOWN") {
      atMs = Math.max(atMs, nowMs + answer.retryAfterMs);
      later = { ...later, gates: { ...later.gates, cooldown: undefined } };
      continue;
    }
    const next = known.reduce<(typeof known)[number] | undefined>(
      (first, entry) => (first === undefined || entry.endsAtMs < first.endsAtMs ? entry : first),
      undefined,
    );
    if (next === undefined) return null;
    known.splice(known.indexOf(next), 1);
    atMs = Math.max(atMs, next.endsAtMs);
    later = withoutJob(later, next.job);
  }
}

/** The view once a job has ended. */
export function withoutJob(view: AdmissionView, job: Reservation): AdmissionView {
  const { reserved, unknown } = view;
  const less = !job.isInside && (job.expectation === undefined || isUnknown(job.expectation)) ? 1 : 0;
  const usedBytes = job.usage?.rssBytes ?? 0;
  return {
    ...view,
    memory: view.memory.map((level) => ({ ...level, usedBytes: Math.max(0, level.usedBytes - usedBytes) })),
    outlooks: view.outlooks.filter((outlook) => outlook.id !== job.jobId),
    // What its job holds of a card's memory comes back with the card.
    ...(view.gpus && {
      gpus: view.gpus.map((card) =>
        card.takenBy === job.id ? { ...card, freeBytes: Infinity, isTaken: false, takenBy: undefined } : card,
      ),
    }),
    ...(view.running !== undefined && { running: view.running.filter((one) => one !== job) }),
    reserved: {
      cpuCores: reserved.cpuCores - (job.isInside ? 0 : job.need.cpuCores),
      processes: reserved.processes - (job.isInside ? 0 : job.need.processes),
      insideCores: reserved.insideCores - (job.isInside ? job.need.cpuCores : 0),
    },
    unknown: { running: unknown.running - less, settled: Math.max(0, unknown.settled - less) },
  };
}
