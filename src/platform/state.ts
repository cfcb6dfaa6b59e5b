/** A state as one union, one table of moves and one writer. */
import { IllegalStateError } from "../contract/errors.ts";
import type { Logger } from "./logger.ts";

/** For each state, the states that may follow it. */
export type Transitions<S extends string> = Readonly<Record<S, readonly S[]>>;

/** Holds one state; only `moveTo` writes it, and only along an arrow of the table. */
export class State<S extends string> {
  readonly #what: string;
  readonly #moves: Transitions<S>;
  readonly #logger: Logger;
  #current: S;

  /** `what` names the thing whose state this is, in errors and log lines. */
  constructor(what: string, moves: Transitions<S>, initial: NoInfer<S>, logger: Logger) {
    this.#what = what;
    this.#moves = moves;
    this.#current = initial;
    this.#logger = logger;
  }

  get current(): S {
    return this.#current;
  }

  is(...states: readonly S[]): boolean {
    return states.includes(this.#current);
  }

  canMoveTo(next: S): boolean {
    return this.#moves[this.#current].includes(next);
  }

  /** @throws {IllegalStateError} for an arrow that is not drawn; the state then stays as it was. */
  moveTo(next: S): void {
    const from = this.#current;
    if (!this.canMoveTo(next)) throw new IllegalStateError(this.#what, from, next);
    this.#current = next;
    this.#logger.debug({ what: this.#what, from, to: next }, "state moved");
  }
}
