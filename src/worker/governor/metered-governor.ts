/** A governor that counts what it costs: the time for which it holds the thread of its worker. */
import type { Admission } from "./admission.ts";
import type { GovernorConfig } from "./governor-config.ts";
import type { GovernorDeps, GovernorSnapshot, GovernorTicket, ReserveQuestion } from "./governor-port.ts";
import { Governor } from "./governor.ts";
import type { Wait } from "./waiting.ts";

export class MeteredGovernor extends Governor {
  readonly #spent: (seconds: number) => void;
  readonly #nowMs: () => number;
  #isCounting = false;

  /** `spent` is told of each piece of work once it is done. @throws {InvalidInputError} for a setting out of its range */
  constructor(deps: GovernorDeps, config: GovernorConfig, spent: (seconds: number) => void) {
    super(deps, config);
    this.#spent = spent;
    this.#nowMs = () => deps.clock.monotonicMs();
  }

  override tryReserve(question: ReserveQuestion): GovernorTicket | Wait {
    return this.#counted(() => super.tryReserve(question));
  }

  override check(question: ReserveQuestion): Admission {
    return this.#counted(() => super.check(question));
  }

  override snapshot(): GovernorSnapshot {
    return this.#counted(() => super.snapshot());
  }

  override tick(): void {
    this.#counted(() => {
      super.tick();
    });
  }

  /** What is asked for within other work, as by those who wait for room, is part of that. */
  #counted<T>(work: () => T): T {
    if (this.#isCounting) return work();
    this.#isCounting = true;
    const beganMs = this.#nowMs();
    try {
      return work();
    } finally {
      this.#isCounting = false;
      this.#spent((this.#nowMs() - beganMs) / 1_000);
    }
  }
}
