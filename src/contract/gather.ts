/** Several checks whose faults are told together. */
import { InvalidInputError, type Fault } from "./errors.ts";

/** The value, or its faults on the list, so that all that is wrong is told together. Other errors are thrown. */
export function gather<T>(faults: Fault[], check: () => T): T | undefined {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    faults.push(...error.faults);
    return undefined;
  }
}
