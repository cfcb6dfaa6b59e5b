/** Which job holds which GPU of a machine. A card is given to one job at a time; the one with the most free memory first. */
import { MiB } from "../../contract/resources.ts";
import type { GpuToken, GpuWish } from "./admission-view.ts";
import type { Neighbour } from "./machine-ledger.ts";
import type { Gpu } from "./probes/gpu.ts";
import type { Reservation } from "./reservations.ts";

/** Even a job that names no amount cannot start on a card that has less. */
const LEAST_FREE_BYTES = 256 * MiB;

/** What a job with these labels asks for: the label `gpu` asks for one card. */
export function gpuWishOf(labels: readonly string[]): GpuWish | undefined {
  return labels.includes("gpu") ? { memoryBytes: LEAST_FREE_BYTES } : undefined;
}

/** The cards of this machine, and which of them a job holds: one of ours, or of another worker. */
export function gpuTokensOf(
  gpus: readonly Gpu[],
  jobs: readonly Pick<Reservation, "id" | "card">[],
  neighbours: readonly Pick<Neighbour, "cards">[],
): GpuToken[] {
  const ours = new Map(jobs.map(({ id, card }) => [card, id]));
  return gpus.map(({ index, uuid, memoryBytes, usedBytes }) => ({
    index,
    uuid,
    freeBytes: memoryBytes === null || usedBytes === null ? Infinity : Math.max(0, memoryBytes - usedBytes),
    isTaken: ours.has(uuid) || isWithOne(neighbours, uuid),
    takenBy: ours.get(uuid),
  }));
}

/** The card that a job gets, by its UUID; undefined when it wants none, or none fits, which the rules have ruled out before. */
export function chooseGpu(wish: GpuWish | undefined, cards: readonly GpuToken[] = []): string | undefined {
  if (wish === undefined) return undefined;
  const fitting = cards.filter((card) => !card.isTaken && card.freeBytes >= wish.memoryBytes);
  return fitting.toSorted((a, b) => b.freeBytes - a.freeBytes || a.index - b.index)[0]?.uuid;
}

/** The cards for a job that was promised one of them: that one and no other, unless another worker has promised it too. */
export function withOnly(
  chosen: string | undefined,
  cards: readonly GpuToken[] = [],
  neighbours: readonly Pick<Neighbour, "cards">[],
): GpuToken[] {
  return cards.map((card) => ({ ...card, isTaken: card.uuid !== chosen || isWithOne(neighbours, card.uuid) }));
}

function isWithOne(neighbours: readonly Pick<Neighbour, "cards">[], uuid: string): boolean {
  return neighbours.some(({ cards }) => cards.includes(uuid));
}
