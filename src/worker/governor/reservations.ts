/**
 * The ledger: what has been promised to running jobs, and what each of them uses. A promise is made before the job is
 * fetched and holds until it ends, so that a job which has only just started is never taken for a small one.
 */
import type { Expectation } from "../../contract/expectation.ts";
import { add, nothing, type Amounts } from "../../contract/resources.ts";
import { OVERHEAD_MS } from "./cores.ts";

export interface Usage {
  readonly rssBytes: number;
  readonly cpuMs: number;
  readonly atMs: number;
  /** The process, where others than the governor's own measured it: the engine of a model. */
  readonly pid?: number;
}

/** What a job holds, on the card on which it holds most. */
export interface GpuUse {
  readonly usedBytes: number;
  readonly peakBytes: number;
  /** That card, by its UUID; a job that asked for none may be seen on any. */
  readonly card?: string | undefined;
  /** Its processes there; empty where the driver lists none, as inside most containers. */
  readonly pids: readonly number[];
}

/** A process that stands still. */
export interface Suspension {
  readonly sinceMs: number;
  readonly message: string;
  /** How long the job was still expected to take. */
  readonly remainingMs: number | undefined;
}

/** A process that has less of the cores than others. */
export interface Slowed {
  readonly sinceMs: number;
  readonly message: string;
}

/** Whom a promise is for. */
interface Who {
  readonly queue: string;
  readonly kind?: string | undefined;
  readonly isInside: boolean;
  readonly card?: string | undefined;
  readonly cardBeforeBytes?: number | undefined;
  readonly gpuBytes?: number | undefined;
  readonly nowMs: number;
}

/** One promise. `jobId` is known once a job was claimed for it. */
export interface Reservation {
  readonly id: number;
  readonly queue: string;
  /** The key of its class; undefined until its run was read, and for work inside the worker. */
  readonly kind: string | undefined;
  readonly need: Amounts;
  /** Runs inside the worker (a scan, a report): no process of its own, so it does not compete for cores. */
  readonly isInside: boolean;
  /** The GPU that is its alone, by its UUID; undefined for one that asked for none. */
  readonly card: string | undefined;
  /** What that card held before; undefined where it does not tell. */
  readonly cardBeforeBytes: number | undefined;
  /** What it was promised of that card. */
  readonly gpuBytes: number;
  /** What its process was seen to hold of a card; undefined while that is nothing. */
  readonly gpuUse: GpuUse | undefined;
  /** Like all moments of a promise by the clock that never goes back. */
  readonly sinceMs: number;
  readonly jobId: string | undefined;
  readonly runId: string | undefined;
  readonly usage: Usage | undefined;
  /** The most that was seen of the process that runs now. */
  readonly peakBytes: number;
  /** The process that runs now. */
  readonly pid: number | undefined;
  /**
   * When the process that runs now was first seen, later by the time in which it stood still: what is lost when it is
   * ended.
   */
  readonly processSinceMs: number | undefined;
  /** Set while its process stands still. */
  readonly suspension: Suspension | undefined;
  /** How long its processes have stood still, those that do now left out. */
  readonly suspendedMs: number;
  readonly slowed: Slowed | undefined;
  /** What its processes that have ended well got done, in usual ones, and the CPU time of that, the worker's included. */
  readonly work: number;
  readonly cpuMs: number;
  /** When it probably ends; undefined when nobody can say. */
  readonly endsAtMs: number | undefined;
  /** Whether it may be ended to make room, because it will be tried again. */
  readonly isRetriable: boolean;
  /** What its process is expected to take; undefined until that was looked up, then its promise stands for it. */
  readonly expectation: Expectation | undefined;
}

/** What a job counts with: its promise, or what it uses when it has outgrown that. */
export function committedBytes({ need, usage }: Pick<Reservation, "need" | "usage">): number {
  return Math.max(need.memoryBytes, usage?.rssBytes ?? 0);
}

export type CardJob = Pick<Reservation, "card"> & Partial<Pick<Reservation, "gpuBytes" | "gpuUse" | "expectation">>;

/** What a job counts with on a card, and how much of that is not in use yet; in bytes. */
export interface CardUse {
  /** By its UUID. */
  readonly card: string;
  readonly bytes: number;
  readonly growthBytes: number;
}

/**
 * What it counts with on a card, and on which: what it was promised, or holds when that is more. A job that asked for no card
 * and was seen on one (the engine of a model finds it by itself) counts there with what its class takes. Undefined for one
 * that has none.
 */
export function cardUseOf(job: CardJob): CardUse | undefined {
  const { gpuBytes = 0, gpuUse, expectation } = job;
  const card = job.card ?? gpuUse?.card;
  if (card === undefined) return undefined;
  const usedBytes = gpuUse?.usedBytes ?? 0;
  const promised = job.card === undefined ? (expectation?.gpuMemoryBytes?.p95 ?? 0) : gpuBytes;
  return { card, bytes: Math.max(promised, usedBytes), growthBytes: Math.max(0, promised - usedBytes) };
}

/** How far a job is beyond its promise, in bytes. */
export function outgrownBytes({ need, usage }: Pick<Reservation, "need" | "usage">): number {
  return Math.max(0, (usage?.rssBytes ?? 0) - need.memoryBytes);
}

/** What was promised to a job and is not yet in use: it will come, so it is not free. */
export function growthBytes({ need, usage }: Pick<Reservation, "need" | "usage">): number {
  return Math.max(0, need.memoryBytes - (usage?.rssBytes ?? 0));
}

export class Reservations {
  readonly #byId = new Map<number, Reservation>();
  readonly #idOfJob = new Map<string, number>();
  #lastId = 0;

  /** Writes a promise down. Whether there is room for it was decided by the rules (admission.ts), in the same moment. */
  reserve(need: Amounts, who: Who): Reservation {
    this.#lastId += 1;
    const reservation: Reservation = {
      id: this.#lastId,
      queue: who.queue,
      kind: who.kind,
      need,
      isInside: who.isInside,
      card: who.card,
      cardBeforeBytes: who.cardBeforeBytes,
      gpuBytes: who.gpuBytes ?? 0,
      gpuUse: undefined,
      sinceMs: who.nowMs,
      jobId: undefined,
      runId: undefined,
      usage: undefined,
      peakBytes: 0,
      pid: undefined,
      processSinceMs: undefined,
      suspension: undefined,
      suspendedMs: 0,
      slowed: undefined,
      work: 0,
      cpuMs: 0,
      endsAtMs: undefined,
      isRetriable: true,
      expectation: undefined,
    };
    this.#byId.set(reservation.id, reservation);
    return reservation;
  }

  /** Names the job that holds the promise. */
  bind(id: number, job: { jobId: string; runId: string; nowMs: number }): void {
    this.#change(id, { jobId: job.jobId, runId: job.runId, sinceMs: job.nowMs });
    if (this.#byId.has(id)) this.#idOfJob.set(job.jobId, id);
  }

  /** Takes the promise back. Returns what it was, or undefined when that was done before. */
  release(id: number): Reservation | undefined {
    const reservation = this.#byId.get(id);
    if (reservation === undefined) return undefined;
    this.#byId.delete(id);
    if (reservation.jobId !== undefined && this.#idOfJob.get(reservation.jobId) === id) {
      this.#idOfJob.delete(reservation.jobId);
    }
    return reservation;
  }

  /** Notes what a job uses. A job that holds no promise here is not noted: it has ended. */
  observe(jobId: string, usage: Usage): void {
    const known = this.ofJob(jobId);
    if (known === undefined) return;
    this.#change(known.id, { usage, peakBytes: Math.max(known.peakBytes, usage.rssBytes) });
  }

  /** Notes what a job holds of a card. */
  observeGpu(jobId: string, gpuUse: GpuUse): void {
    const known = this.ofJob(jobId);
    if (known !== undefined) this.#change(known.id, { gpuUse });
  }

  /** Notes what is expected of a job, when it probably ends, or that it must not be ended. */
  describe(
    jobId: string,
    facts: Partial<Pick<Reservation, "endsAtMs" | "isRetriable" | "expectation" | "kind">>,
  ): void {
    const known = this.ofJob(jobId);
    if (known !== undefined) this.#change(known.id, facts);
  }

  /** A process of the job has ended well. */
  worked(jobId: string, { work, cpuMs }: Pick<Reservation, "work" | "cpuMs">): void {
    const known = this.ofJob(jobId);
    if (known !== undefined)
      this.#change(known.id, { work: known.work + work, cpuMs: known.cpuMs + cpuMs + OVERHEAD_MS });
  }

  /** Another process of the job begins: what the one before used is no longer in use, nor does it stand still. */
  beginProcess(jobId: string, pid: number, nowMs: number): void {
    this.resume(jobId, nowMs);
    const known = this.ofJob(jobId);
    if (known === undefined) return;
    const fresh = { usage: undefined, peakBytes: 0, slowed: undefined, gpuUse: undefined };
    this.#change(known.id, { ...fresh, pid, processSinceMs: nowMs });
  }

  /** The process of the job stands still from now on; nobody can say when the job ends. */
  suspend(jobId: string, at: Omit<Suspension, "remainingMs">): void {
    const known = this.ofJob(jobId);
    if (known === undefined || known.suspension !== undefined) return;
    const { endsAtMs } = known;
    const remainingMs = endsAtMs === undefined ? undefined : endsAtMs - at.sinceMs;
    this.#change(known.id, { suspension: { ...at, remainingMs }, endsAtMs: undefined });
  }

  /** It goes on: the time in which it stood still counts for nothing. */
  resume(jobId: string, nowMs: number): void {
    const known = this.ofJob(jobId);
    if (known?.suspension === undefined) return;
    const { sinceMs, remainingMs } = known.suspension;
    const stoodMs = nowMs - sinceMs;
    this.#change(known.id, {
      suspension: undefined,
      suspendedMs: known.suspendedMs + stoodMs,
      processSinceMs: (known.processSinceMs ?? sinceMs) + stoodMs,
      endsAtMs: remainingMs === undefined ? undefined : nowMs + remainingMs,
    });
  }

  /** The process of the job has less of the cores from now on; undefined: its share again. */
  slow(jobId: string, slowed: Slowed | undefined): void {
    const known = this.ofJob(jobId);
    if (known !== undefined) this.#change(known.id, { slowed });
  }

  ofJob(jobId: string): Reservation | undefined {
    const id = this.#idOfJob.get(jobId);
    return id === undefined ? undefined : this.#byId.get(id);
  }

  get all(): readonly Reservation[] {
    return [...this.#byId.values()];
  }

  get size(): number {
    return this.#byId.size;
  }

  /** The sum of the promises. */
  reserved(isInside?: boolean): Amounts {
    return this.#sum(isInside, ({ need }) => need.memoryBytes);
  }

  /** The sum of what jobs count with. `isInside` chooses whose cores and processes are in it; memory is of all. */
  committed(isInside: boolean): Amounts {
    const memoryBytes = this.#sum(undefined, committedBytes).memoryBytes;
    return { ...this.#sum(isInside, committedBytes), memoryBytes };
  }

  #sum(isInside: boolean | undefined, bytes: (reservation: Reservation) => number): Amounts {
    let sum = nothing;
    for (const reservation of this.#byId.values()) {
      if (isInside !== undefined && reservation.isInside !== isInside) continue;
      sum = add(sum, { ...reservation.need, memoryBytes: bytes(reservation) });
    }
    return sum;
  }

  #change(id: number, facts: Partial<Reservation>): void {
    const known = this.#byId.get(id);
    if (known !== undefined) this.#byId.set(id, { ...known, ...facts });
  }
}
