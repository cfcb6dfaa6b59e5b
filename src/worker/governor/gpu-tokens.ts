/** Which job holds which GPU. A card is given to one job at a time; the one with the most free memory first. */
import { MiB } from "../../contract/resources.ts";
import type { GpuWish } from "./admission-view.ts";
import type { Gpu } from "./probes/gpu.ts";

/** A card as the rules see it. */
export interface GpuToken {
  readonly index: number;
  readonly uuid: string;
  /** Infinite where the card does not tell its memory: then the token alone decides. */
  readonly freeBytes: number;
  readonly isTaken: boolean;
  /** The reservation that holds it, while one does. */
  readonly takenBy: number | undefined;
}

/** Even a job that names no amount cannot start on a card that has less. */
const LEAST_FREE_BYTES = 256 * MiB;

/** What a job with these labels asks for: the label `gpu` asks for one card. */
export function gpuWishOf(labels: readonly string[]): GpuWish | undefined {
  return labels.includes("gpu") ? { memoryBytes: LEAST_FREE_BYTES } : undefined;
}

export class GpuTokens {
  readonly #byReservation = new Map<number, string>();

  /** The cards of this machine, and which of them a job holds. */
  show(gpus: readonly Gpu[]): GpuToken[] {
    const taken = new Map([...this.#byReservation].map(([reservationId, uuid]) => [uuid, reservationId]));
    return gpus.map(({ index, uuid, memoryBytes, usedBytes }) => ({
      index,
      uuid,
      freeBytes: memoryBytes === null || usedBytes === null ? Infinity : Math.max(0, memoryBytes - usedBytes),
      isTaken: taken.has(uuid),
      takenBy: taken.get(uuid),
    }));
  }

  /** Gives a card to a reservation; undefined when none fits, which the rules have ruled out before. */
  take(reservationId: number, wish: GpuWish, gpus: readonly Gpu[]): string | undefined {
    const fitting = this.show(gpus).filter((card) => !card.isTaken && card.freeBytes >= wish.memoryBytes);
    const best = fitting.toSorted((a, b) => b.freeBytes - a.freeBytes || a.index - b.index)[0];
    if (best !== undefined) this.#byReservation.set(reservationId, best.uuid);
    return best?.uuid;
  }

  /** The card that a reservation holds, by its UUID. */
  of(reservationId: number | undefined): string | undefined {
    return reservationId === undefined ? undefined : this.#byReservation.get(reservationId);
  }

  release(reservationId: number): void {
    this.#byReservation.delete(reservationId);
  }
}
