/** Keeps the ledger told of what jobs hold of the cards. Costs nothing where no card is. */
import type { GpuWish } from "./admission-view.ts";
import type { CapacityReading } from "./capacity.ts";
import { GpuLeftovers, gpuUseOf, type Leftover } from "./gpu-use.ts";
import type { Gpu } from "./probes/gpu.ts";
import type { ProcessTrees } from "./probes/process-trees.ts";
import type { Reservation, Reservations } from "./reservations.ts";

type Ledger = Pick<Reservations, "all" | "ofJob" | "observeGpu">;
type Reading = Pick<CapacityReading, "machine">;

/** What is known of the cards beside what they tell now. */
export interface CardFacts {
  /** What ended jobs have left on them. */
  readonly leftovers: readonly Leftover[];
  /** Memory of the largest that was ever told of; undefined while there was none, and once one did not tell it. */
  readonly largestBytes: number | undefined;
}

export class GpuMeter {
  readonly #ledger: Ledger;
  readonly #leftovers = new GpuLeftovers();
  #gpus: readonly Gpu[] = [];
  /** By UUID: one that vanishes may come back. */
  readonly #sizes = new Map<string, number>();

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  /** Notes what each job holds, once for each time that the cards are told of. */
  read({ machine }: Reading, processes: Pick<ProcessTrees, "pidsOf">): void {
    if (machine.gpus === this.#gpus) return;
    this.#gpus = machine.gpus;
    if (machine.gpus.length === 0) return;
    for (const job of this.#ledger.all) {
      if (job.jobId === undefined || job.isInside) continue;
      const { pid } = job.usage ?? {};
      const pids = new Set([...processes.pidsOf(job.jobId), ...(pid === undefined ? [] : [pid])]);
      const use = gpuUseOf(machine.gpus, pids, job);
      if (use !== undefined) this.#ledger.observeGpu(job.jobId, use);
    }
  }

  /** What is written down with the promise of a card. */
  promise(
    wish: GpuWish | undefined,
    card: string | undefined,
    { machine }: Reading,
  ): Pick<Reservation, "card" | "cardBeforeBytes" | "gpuBytes"> {
    const { usedBytes = null, memoryBytes = null } = machine.gpus.find(({ uuid }) => uuid === card) ?? {};
    const gpuBytes = card === undefined ? 0 : Math.min(wish?.memoryBytes ?? 0, memoryBytes ?? Infinity);
    const goneBytes = card === undefined ? 0 : this.#leftovers.goneBytes(card);
    return { card, cardBeforeBytes: usedBytes === null ? undefined : Math.max(0, usedBytes - goneBytes), gpuBytes };
  }

  /** The card that is this job's alone, by its UUID; undefined for one that asked for none. */
  cardOf(jobId: string): string | undefined {
    return this.#ledger.ofJob(jobId)?.card;
  }

  /** The most that the process of a job was seen to hold of one card, in bytes; undefined while that is nothing. */
  peakOf(jobId: string): number | undefined {
    return this.#ledger.ofJob(jobId)?.gpuUse?.peakBytes;
  }

  /** A job has ended. */
  released(job: Reservation, nowMs: number): void {
    this.#leftovers.note(job, this.#gpus, nowMs);
  }

  /** What holds at a moment, by a reading of then; takes the sizes of the cards in it as known from now on. */
  at({ machine }: Reading, nowMs: number): CardFacts {
    for (const { uuid, memoryBytes } of machine.gpus) this.#sizes.set(uuid, memoryBytes ?? Infinity);
    const largestBytes = Math.max(0, ...this.#sizes.values());
    return {
      leftovers: this.#leftovers.at(machine.gpus, nowMs),
      largestBytes: largestBytes > 0 && largestBytes < Infinity ? largestBytes : undefined,
    };
  }
}
