/** This worker among those of its machine: tells them what it has promised, and whether it has work and no room at all. */
import type { MachinePromise, Neighbour, SharedLedger } from "./machine-ledger.ts";
import { growthBytes, type Reservation } from "./reservations.ts";

export interface OwnState {
  readonly isEnding: boolean;
  /** Queues whose next job does not fit beside what is promised or in use. */
  readonly queuesWithoutRoom: readonly string[];
  /** Names of the memory levels that this worker is in. */
  readonly levels: readonly string[];
  readonly nowMs: number;
}

export class Neighbourhood {
  readonly #ledger: SharedLedger;
  #backlog: ReadonlySet<string> = new Set();
  #starvedSinceMs: number | undefined;

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
    this.#starvedSinceMs = isStarved ? (this.#starvedSinceMs ?? own.nowMs) : undefined;
    const promise: MachinePromise = {
      growthBytes: jobs.reduce((sum, job) => sum + growthBytes(job), 0),
      cpuCores: outside.reduce((sum, { need }) => sum + need.cpuCores, 0),
      processes,
      isEnding: own.isEnding,
      starvedMs: own.nowMs - (this.#starvedSinceMs ?? own.nowMs),
    };
    this.#ledger.publish(promise, own.levels);
  }

  close(): void {
    this.#ledger.close();
  }
}
