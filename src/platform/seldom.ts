/** Lets one of many alike log lines through, and counts those that it holds back. */
import type { Clock } from "./clock.ts";

export class Seldom {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #everyMs: number;
  #toldMs: number | undefined;
  #held = 0;

  constructor(clock: Pick<Clock, "monotonicMs">, everyMs: number) {
    this.#clock = clock;
    this.#everyMs = everyMs;
  }

  /** Calls `tell`, with how many were held back since the last time, unless that was a short while ago. */
  say(tell: (heldBack: number) => void): void {
    const nowMs = this.#clock.monotonicMs();
    if (this.#toldMs !== undefined && nowMs - this.#toldMs < this.#everyMs) {
      this.#held += 1;
      return;
    }
    tell(this.#held);
    this.#toldMs = nowMs;
    this.#held = 0;
  }

  /** It is over: the next one is a new thing, and is told at once. */
  reset(): void {
    this.#toldMs = undefined;
    this.#held = 0;
  }
}
