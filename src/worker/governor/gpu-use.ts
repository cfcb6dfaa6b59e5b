/** What the processes of jobs hold of the cards, and what is left there by jobs that have ended. */
import type { Gpu } from "./probes/gpu.ts";
import type { GpuUse, Reservation } from "./reservations.ts";

/** What is still on a card of a job that has ended. */
export interface Leftover {
  readonly card: string;
  readonly bytes: number;
  /** Set where the process stays for the next job like it (the engine of a model): its memory is free for that alone. */
  readonly keptFor: Pick<Reservation, "queue" | "kind"> | undefined;
}

interface Left extends Leftover {
  readonly pids: readonly number[];
  /** What the card told then. */
  readonly usedBytes: number | null;
  readonly atMs: number;
}

/** A sampler tells of a card once a second: memory that was given back is seen by then. */
const SEEN_AFTER_MS = 2_500;

/**
 * What the processes with these numbers hold of one card. Where the driver lists no process on the job's own card, what
 * that card holds more than before the job: nobody else is given it.
 */
export function gpuUseOf(
  gpus: readonly Gpu[],
  pids: ReadonlySet<number>,
  { card, cardBeforeBytes, gpuUse }: Pick<Reservation, "card" | "cardBeforeBytes" | "gpuUse">,
): GpuUse | undefined {
  const held = gpus.map(({ uuid, processes }) => ({ uuid, of: processes.filter(({ pid }) => pids.has(pid)) }));
  const sumOf = ({ of }: { readonly of: Gpu["processes"] }) =>
    of.reduce((sum, { usedBytes }) => sum + (usedBytes ?? 0), 0);
  const most = held.reduce((a, b) => (sumOf(b) > sumOf(a) ? b : a), { uuid: card ?? "", of: [] });
  const own = gpus.find(({ uuid }) => uuid === card);
  const isListed = own === undefined || own.processes.length > 0;
  const more = isListed ? 0 : (own.usedBytes ?? 0) - (cardBeforeBytes ?? Infinity);
  const usedBytes = Math.max(sumOf(most), more, 0);
  if (usedBytes === 0 && gpuUse === undefined) return undefined;
  const seen = most.of.map(({ pid }) => pid);
  const on = sumOf(most) > 0 ? most.uuid : card;
  return { usedBytes, peakBytes: Math.max(usedBytes, gpuUse?.peakBytes ?? 0), pids: seen, card: on };
}

/** What ended jobs have left on the cards, for as long as the samplers may not have seen them go, or their engine stays. */
export class GpuLeftovers {
  readonly #left = new Map<string, Left>();

  /** A job has given its card back. */
  note(job: Reservation, gpus: readonly Gpu[], nowMs: number): void {
    const { card, gpuUse, queue, kind, pid } = job;
    if (card === undefined || gpuUse === undefined) return;
    const usedBytes = gpus.find(({ uuid }) => uuid === card)?.usedBytes ?? null;
    // What was attached was a process of the job's own, which is gone; a process that was only measured stays.
    const keptFor = pid === undefined ? { queue, kind } : undefined;
    const { pids } = gpuUse;
    this.#left.set(card, { card, bytes: gpuUse.usedBytes, pids, keptFor, usedBytes, atMs: nowMs });
  }

  /** What an ended job held of a card that tells of it still. */
  goneBytes(card: string): number {
    const left = this.#left.get(card);
    return left === undefined || left.keptFor !== undefined ? 0 : left.bytes;
  }

  /** Those that still count, by what the cards tell now. */
  at(gpus: readonly Gpu[], nowMs: number): readonly Leftover[] {
    for (const left of this.#left.values()) {
      const card = gpus.find(({ uuid }) => uuid === left.card);
      if (card === undefined || !isThere(left, card, nowMs)) this.#left.delete(left.card);
    }
    return [...this.#left.values()];
  }
}

function isThere({ keptFor, pids, bytes, usedBytes, atMs }: Left, card: Gpu, nowMs: number): boolean {
  if (keptFor === undefined) return card.usedBytes === usedBytes && nowMs - atMs < SEEN_AFTER_MS;
  if (pids.length === 0) return (card.usedBytes ?? 0) >= bytes;
  return card.processes.some(({ pid }) => pids.includes(pid));
}
