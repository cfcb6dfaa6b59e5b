/** A clock that jumps to the end of the next sleep, so that hours pass at once and in order. */
import type { Clock } from "../../src/platform/clock.ts";

interface Sleeper {
  readonly atMs: number;
  readonly wake: () => void;
}

export class SteppedClock implements Clock {
  readonly slept: number[] = [];
  #nowMs = 1_000_000;
  #sleepers: Sleeper[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  /** Sleeps of others end on the way. */
  pass(ms: number): void {
    const until = this.#nowMs + ms;
    const due = this.#sleepers.filter(({ atMs }) => atMs <= until).toSorted((a, b) => a.atMs - b.atMs);
    this.#sleepers = this.#sleepers.filter(({ atMs }) => atMs > until);
    for (const { atMs, wake } of due) {
      this.#nowMs = Math.max(this.#nowMs, atMs);
      wake();
    }
    this.#nowMs = until;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.slept.push(ms);
    return new Promise((resolve, reject) => {
      const sleeper = { atMs: this.#nowMs + ms, wake: resolve };
      this.#sleepers.push(sleeper);
      signal?.addEventListener(
        "abort",
        () => {
          this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
          reject(new Error("woken"));
        },
        { once: true },
      );
    });
  }

  /** How many sleep now. */
  get sleeping(): number {
    return this.#sleepers.length;
  }
}
