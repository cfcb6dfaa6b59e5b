/** A timer for something that is to be done again and again, each time after another pause. */
export class DueTimer {
  readonly #nowMs: () => number;
  readonly #work: () => void;
  #timer: NodeJS.Timeout | undefined;
  #dueMs = 0;

  /** `nowMs` is a clock that never goes back. */
  constructor(nowMs: () => number, work: () => void) {
    this.#nowMs = nowMs;
    this.#work = work;
  }

  /** Sees that it is done within `pauseMs`. What is due sooner is left alone: it must not be put off for ever. */
  within(pauseMs: number): void {
    const dueMs = this.#nowMs() + pauseMs;
    if (this.#timer !== undefined && this.#dueMs <= dueMs) return;
    clearTimeout(this.#timer);
    this.#dueMs = dueMs;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#work();
    }, pauseMs);
    this.#timer.unref();
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
