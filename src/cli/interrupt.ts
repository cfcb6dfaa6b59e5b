/** Ctrl-C of a command that follows something: the first asks for an orderly end, the second ends the process at once. */
import { exitCodes } from "../contract/errors.ts";

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export class Interrupt implements Disposable {
  readonly #controller = new AbortController();
  readonly #onSecond: () => void;
  readonly #listener: (signal: NodeJS.Signals) => void;

  /** `onSecond` has one moment to put the terminal in order. */
  constructor(onSecond: () => void) {
    this.#onSecond = onSecond;
    this.#listener = (signal) => {
      this.#hear(signal);
    };
    for (const signal of signals) process.on(signal, this.#listener);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get isAsked(): boolean {
    return this.#controller.signal.aborted;
  }

  [Symbol.dispose](): void {
    for (const signal of signals) process.off(signal, this.#listener);
  }

  #hear(signal: NodeJS.Signals): void {
    if (!this.isAsked) {
      this.#controller.abort(new Error(`interrupted by ${signal}`));
      return;
    }
    this.#onSecond();
    process.exit(exitCodes.interrupted);
  }
}
