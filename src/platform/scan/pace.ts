/**
 * Decides between synchronous file calls (some microseconds on a warm local disk, but they hold the event loop) and
 * asynchronous ones (ten times dearer, but a slow disk then holds nobody). Two states: `isSlow` is true at the start and
 * whenever calls took long on average, false once they were seen to be quick. Work goes in slices; after each one the
 * caller pauses, so that the loop runs.
 */
import { SLICE_MS } from "./scan-batch.ts";

/** Mean milliseconds of one call above which calls are made asynchronously. */
const SLOW_CALL_MS = 0.3;

export class Pace {
  #isSlow = true;
  #calls = 0;
  #startedAt = performance.now();

  get isSlow(): boolean {
    return this.#isSlow;
  }

  /** Counts one call; whether the slice is over. */
  tick(): boolean {
    this.#calls += 1;
    return performance.now() - this.#startedAt >= SLICE_MS;
  }

  /** Counts calls made together. */
  count(calls: number): void {
    this.#calls += calls;
  }

  /** Ends the slice and learns from it. Call before the pause, and `begin` after it. */
  end(): void {
    if (this.#calls > 0) this.#isSlow = (performance.now() - this.#startedAt) / this.#calls > SLOW_CALL_MS;
  }

  begin(): void {
    this.#calls = 0;
    this.#startedAt = performance.now();
  }
}
