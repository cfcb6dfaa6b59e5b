/** Says once when sensors fail, and once when all read again. */
import type { Logger } from "../../platform/logger.ts";
import type { Degraded } from "./capacity.ts";

export class SensorFaults {
  readonly #logger: Logger;
  #told = "";

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  tell(degraded: readonly Degraded[]): void {
    const text = degraded.map(({ sensor, message }) => `${sensor}: ${message}`).join("; ");
    if (text === this.#told) return;
    this.#told = text;
    if (text === "") this.#logger.info({}, "all sensors read again");
    else this.#logger.warn({ code: "NO_SENSOR", sensors: text }, "a sensor cannot be read");
  }
}
