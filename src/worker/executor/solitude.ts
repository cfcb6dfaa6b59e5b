/**
 * Lets the chunks of a worker run beside each other, or one alone. In the order in which they come: one that is to be
 * alone waits for those that run, and whoever comes after it waits for its end.
 */
export class Solitude {
  readonly #onChange: (isWanted: boolean) => void;
  readonly #waiting: { readonly isAlone: boolean; begin(): void }[] = [];
  #running = 0;
  #isAlone = false;
  #isWanted = false;

  /** `onChange` is told when a first one asks to be alone, and when none does or is any more. */
  constructor(onChange: (isWanted: boolean) => void) {
    this.#onChange = onChange;
  }

  /** Runs `work` in its turn. An abort ends the wait: then `work` is run at once, to end as it does when aborted. */
  async run<T>(isAlone: boolean, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const hasTurn = await this.#turn(isAlone, signal);
    try {
      return await work();
    } finally {
      if (hasTurn) {
        this.#running -= 1;
        this.#isAlone = false;
        this.#advance();
      }
    }
  }

  #turn(isAlone: boolean, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false);
    return new Promise((resolve) => {
      const onAbort = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        resolve(false);
        this.#advance();
      };
      const waiting = {
        isAlone,
        begin: () => {
          signal.removeEventListener("abort", onAbort);
          resolve(true);
        },
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiting.push(waiting);
      this.#advance();
    });
  }

  #advance(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#isAlone || (next.isAlone && this.#running > 0)) break;
      this.#waiting.shift();
      this.#running += 1;
      this.#isAlone = next.isAlone;
      next.begin();
    }
    const isWanted = this.#isAlone || this.#waiting.some((waiting) => waiting.isAlone);
    if (isWanted === this.#isWanted) return;
    this.#isWanted = isWanted;
    this.#onChange(isWanted);
  }
}
