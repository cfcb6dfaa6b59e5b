/** This worker among those of its machine: tells them what it has promised, and whether it has work and no room at all. */
import type { MachinePromise, Neighbour, SharedLedger } from "./machine-ledger.ts";
import { cardUseOf, growthBytes, type Reservation } from "./reservations.ts";

export interface OwnState {
  readonly isEnding: boolean;
  /** Queues whose next job does not fit beside what is promised or in use. */
  readonly queuesWithoutRoom: readonly string[];
  /** Names of the memory levels that this worker is in. */
  readonly levels: readonly string[];
  readonly nowMs: number;
}

/**
 * So long a starved worker asks its neighbours to step back though none of them runs more than the one job that it keeps:
 * then it is something else that takes the room, and they go on. It asks again after a rest.
 */
const IN_VAIN_MS = 15_000;
const REST_MS = 60_000;

export class Neighbourhood {
  readonly #ledger: SharedLedger;
  #backlog: ReadonlySet<string> = new Set();
  #starvedSinceMs: number | undefined;
  /** Since when its neighbours have stepped back as far as they do, and it is starved all the same. */
  #inVainSinceMs: number | undefined;
  #restsUntilMs = -Infinity;

  constructor(ledger: SharedLedger) {
    this.#ledger = ledger;
  }

  get others(): readonly Neighbour[] {
    return this.#ledger.others();
  }

  /** Another worker ends a job for its memory: what that frees is not known yet. */
  get isEnding(): boolean {
    return this.others.some((neighbour) => neighbour.isEnding);
  }

  /** Tells which of the waiting queues hold a job: a wait for room is one only there. */
  noteBacklog(queues: ReadonlySet<string>): void {
    this.#backlog = queues;
  }

  publish(jobs: readonly Reservation[], own: OwnState): void {
    const outside = jobs.filter((job) => !job.isInside);
    const processes = outside.reduce((sum, { need }) => sum + need.processes, 0);
    const isStarved = processes === 0 && own.queuesWithoutRoom.some((queue) => this.#backlog.has(queue));
    this.#noteStarved(isStarved, own.nowMs);
    const promise: MachinePromise = {
      growthBytes: jobs.reduce((sum, job) => sum + growthBytes(job), 0),
      cpuCores: outside.reduce((sum, { need }) => sum + need.cpuCores, 0),
      processes,
      cards: jobs.flatMap(({ card }) => card ?? []),
      cardUse: jobs.flatMap((job) => cardUseOf(job) ?? []),
      isEnding: own.isEnding,
      starvedMs: own.nowMs - (this.#starvedSinceMs ?? own.nowMs),
    };
    this.#ledger.publish(promise, own.levels);
  }

  close(): void {
    this.#ledger.close();
  }

  #noteStarved(isStarved: boolean, nowMs: number): void {
    const asks = isStarved && nowMs >= this.#restsUntilMs;
    this.#starvedSinceMs = asks ? (this.#starvedSinceMs ?? nowMs) : undefined;
    // Asked for only then: it reads what all of them tell.
    const others = asks ? this.others : [];
    // Where nobody is, nobody was asked: who comes later is.
    const isInVain = others.length > 0 && others.every(({ processes }) => processes <= 1);
    this.#inVainSinceMs = isInVain ? (this.#inVainSinceMs ?? nowMs) : undefined;
    if (this.#inVainSinceMs === undefined || nowMs - this.#inVainSinceMs < IN_VAIN_MS) return;
    this.#restsUntilMs = nowMs + REST_MS;
    this.#starvedSinceMs = undefined;
    this.#inVainSinceMs = undefined;
  }
}
