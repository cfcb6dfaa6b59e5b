/**
 * How many files are announced and handed to the launcher together. Fast files go in groups, so that their announcement
 * costs little; slow ones go alone, so that a lost worker is blamed on the one file that ran.
 */

/** What one group should take, in ms. */
const GROUP_MS = 100;
const MAX_GROUP = 32;
/** Weight of the newest duration in the running mean. */
const WEIGHT = 0.2;

export class Pace {
  #meanMs: number | undefined;
  #size = 1;

  /** Takes the duration of one process, in ms. */
  observe(durationMs: number): void {
    // A slow one counts at once, a fast one bit by bit: groups shrink faster than they grow.
    this.#meanMs =
      this.#meanMs === undefined || durationMs > this.#meanMs * 4
        ? durationMs
        : this.#meanMs + WEIGHT * (durationMs - this.#meanMs);
  }

  /** How long a process takes here; undefined before the first one has ended. */
  get meanMs(): number | undefined {
    return this.#meanMs;
  }

  /** The size of the next group. Doubles from one, up to what the mean duration allows. */
  nextSize(): number {
    if (this.#meanMs === undefined) return 1;
    const most = Math.max(1, Math.min(MAX_GROUP, Math.floor(GROUP_MS / Math.max(0.5, this.#meanMs))));
    this.#size = Math.min(most, this.#size * 2);
    return this.#size;
  }
}
