/** Which job holds which GPU of a machine. A card is given to one job at a time; the one with the most free memory first. */
import type { Expectation } from "../../contract/expectation.ts";
import { MiB } from "../../contract/resources.ts";
import type { GpuToken, GpuWish, Request } from "./admission-view.ts";
import type { Leftover } from "./gpu-use.ts";
import type { Neighbour } from "./machine-ledger.ts";
import type { Gpu } from "./probes/gpu.ts";
import { cardUseOf, type CardJob, type Reservation } from "./reservations.ts";

/** Even a job of which nothing is known cannot start on a card that has less. */
const DEFAULT_BYTES = 256 * MiB;
/**
 * What was learned never asks for more of a card than this: some frameworks take nearly all of whatever card they get, and
 * one that has nothing else on it is all that a job can be given.
 */
const MOST_LEARNED_SHARE = 0.9;

/** What a job with these labels asks for: the label `gpu` asks for one card; its memory as declared, else learned. */
export function gpuWishOf(labels: readonly string[], expected?: Expectation["gpuMemoryBytes"]): GpuWish | undefined {
  if (!labels.includes("gpu")) return undefined;
  if (expected === undefined) return { memoryBytes: DEFAULT_BYTES, isDeclared: false };
  const isDeclared = expected.basis === "declared";
  return { memoryBytes: isDeclared ? expected.p95 : Math.max(DEFAULT_BYTES, expected.p95), isDeclared };
}

/** The cards of this machine, and which of them a job holds: one of ours, or of another worker. */
export function gpuTokensOf(
  gpus: readonly Gpu[],
  jobs: readonly (CardJob & Pick<Reservation, "id">)[],
  neighbours: readonly Pick<Neighbour, "cards" | "cardUse">[],
  leftovers: readonly Leftover[] = [],
): GpuToken[] {
  if (gpus.length === 0) return [];
  // What jobs that have no card of their own will still take of one; the card of one that has is nobody else's.
  const guests = jobs.flatMap((job) => (job.card === undefined ? (cardUseOf(job) ?? []) : []));
  const others = neighbours.flatMap(({ cards, cardUse = [] }) => cardUse.filter(({ card }) => !cards.includes(card)));
  const comingTo = (uuid: string) =>
    [...guests, ...others].reduce((sum, use) => sum + (use.card === uuid ? use.growthBytes : 0), 0);
  const ours = new Map(jobs.map(({ id, card }) => [card, id]));
  return gpus.map(({ index, uuid, memoryBytes, usedBytes }) => {
    const left = leftovers.find(({ card }) => card === uuid);
    const total = memoryBytes ?? Infinity;
    const gone = left !== undefined && left.keptFor === undefined ? left.bytes : 0;
    const free = memoryBytes === null || usedBytes === null ? Infinity : Math.max(0, memoryBytes - usedBytes);
    return {
      index,
      uuid,
      totalBytes: total,
      freeBytes: Math.max(0, Math.min(total, free + gone) - comingTo(uuid)),
      isTaken: ours.has(uuid) || isWithOne(neighbours, uuid),
      takenBy: ours.get(uuid),
      ...(left?.keptFor !== undefined && { kept: { ...left.keptFor, bytes: left.bytes } }),
    };
  });
}

/** What a job can have of a card: what is free, and what is kept there for jobs like it. */
export function freeFor({ freeBytes, totalBytes, kept }: GpuToken, about: Pick<Request, "queue" | "kind">): number {
  return Math.min(totalBytes, freeBytes + (kept !== undefined && isLike(kept, about) ? kept.bytes : 0));
}

/** What a job has to find on a card. */
export function neededOn({ totalBytes }: GpuToken, { memoryBytes, isDeclared }: GpuWish): number {
  return isDeclared ? memoryBytes : Math.min(memoryBytes, Math.floor(MOST_LEARNED_SHARE * totalBytes));
}

/**
 * The card that a job gets, by its UUID: one on which something is kept for it before all others; undefined when it wants
 * none, or none fits, which the rules have ruled out before.
 */
export function chooseGpu(
  wish: GpuWish | undefined,
  cards: readonly GpuToken[] = [],
  about: Pick<Request, "queue" | "kind"> = {},
): string | undefined {
  if (wish === undefined) return undefined;
  const fitting = cards.filter((card) => !card.isTaken && freeFor(card, about) >= neededOn(card, wish));
  const isKept = ({ kept }: GpuToken) => Number(kept !== undefined && isLike(kept, about));
  return fitting.toSorted((a, b) => isKept(b) - isKept(a) || b.freeBytes - a.freeBytes || a.index - b.index)[0]?.uuid;
}

/** The cards for a job that was promised one of them: that one and no other, unless another worker has promised it too. */
export function withOnly(
  chosen: string | undefined,
  cards: readonly GpuToken[] = [],
  neighbours: readonly Pick<Neighbour, "cards">[],
): GpuToken[] {
  return cards.map((card) => ({ ...card, isTaken: card.uuid !== chosen || isWithOne(neighbours, card.uuid) }));
}

/** Of the same class; where that of one is not known, of the same queue. */
function isLike(kept: Pick<Request, "queue" | "kind">, { queue, kind }: Pick<Request, "queue" | "kind">): boolean {
  return kept.kind !== undefined && kind !== undefined ? kept.kind === kind : kept.queue === queue;
}

function isWithOne(neighbours: readonly Pick<Neighbour, "cards">[], uuid: string): boolean {
  return neighbours.some(({ cards }) => cards.includes(uuid));
}
