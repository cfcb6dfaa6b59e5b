/**
 * Who wants to know of writes that the database refused for want of room, or since it may not be written. Such a database
 * answers whoever asks whether it is there, so that nobody else would tell.
 */
import type { WriteFault } from "../contract/store-faults.ts";
import { writeFaultOf } from "./store-errors.ts";

export class WriteFaults {
  readonly #listeners: ((fault: WriteFault) => void)[] = [];

  /** Calls `listener` for each such write from now on. */
  listen(listener: (fault: WriteFault) => void): void {
    this.#listeners.push(listener);
  }

  /** Looks at an error as the engine threw it; those of other kinds are told to nobody. */
  see(error: unknown): void {
    const fault = writeFaultOf(error);
    if (fault === undefined) return;
    for (const listener of this.#listeners) listener(fault);
  }
}
