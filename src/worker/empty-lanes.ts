/**
 * Lanes in which the last look found nothing. What is added to one of them wakes the worker by its marker; a look without
 * one is for a marker that a worker popped and was lost with. So each look that finds nothing again doubles the time to the
 * next, up to LONGEST_MS, or longer where there are many lanes: all of them together are then looked at twice a second.
 */
const FIRST_MS = 1_000;
const LONGEST_MS = 8_000;
const PER_LANE_MS = 500;

interface Empty {
  readonly sinceMs: number;
  readonly pauseMs: number;
}

export class EmptyLanes<L> {
  readonly #lanes = new Map<L, Empty>();

  /** Nothing was found in the lane, now. */
  add(lane: L, nowMs: number): void {
    const known = this.#lanes.get(lane);
    this.#lanes.set(lane, { sinceMs: nowMs, pauseMs: known === undefined ? FIRST_MS : 2 * known.pauseMs });
  }

  /** Something was found in the lane, or may be. */
  delete(lane: L): void {
    this.#lanes.delete(lane);
  }

  clear(): void {
    this.#lanes.clear();
  }

  /** Whether the lane is to be looked at; `lanes`: how many there are in all. */
  isDue(lane: L, { nowMs, lanes }: { readonly nowMs: number; readonly lanes: number }): boolean {
    const empty = this.#lanes.get(lane);
    const longestMs = Math.max(LONGEST_MS, PER_LANE_MS * lanes);
    return empty === undefined || nowMs - empty.sinceMs >= Math.min(empty.pauseMs, longestMs);
  }
}
