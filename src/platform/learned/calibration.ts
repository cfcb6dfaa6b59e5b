/** How carefully a class is begun of which little is known. Pure. */
import type { Expectation } from "../../contract/expectation.ts";

/** From so many measured jobs on, their number alone holds nothing back. */
export const KNOWN_AFTER = 3;
/** A job that was measured alone says more than one among many. */
export const CALIBRATION_WEIGHT = 3;
/** Jobs of unknown classes that start side by side. */
const FIRST_JOBS = 2;
/** A process that has run for so long has shown what it takes by now: one more of its kind may start beside it. */
export const SETTLED_MS = 2_000;

/** Whether the memory of a job is a guess: nobody declared it, and too few of its class were measured. */
export function isUnknown(expected: Pick<Expectation, "basis" | "samples">): boolean {
  return expected.basis !== "declared" && expected.samples < KNOWN_AFTER;
}

/**
 * Whether one more job of an unknown class may start on a worker where `running` such jobs run, `settled` of which for
 * SETTLED_MS already: two at first, then twice as many every two seconds, so that long jobs do not keep a machine idle
 * until the first of them have ended. As soon as a class is known, this holds nothing back.
 */
export function mayRunMore({ running, settled }: { readonly running: number; readonly settled: number }): boolean {
  return running < Math.max(FIRST_JOBS, 2 * settled);
}

/** Chunks of a run whose class is unknown that may be open in the whole cluster, `elapsedMs` after the first of them. */
export function unknownChunks(elapsedMs: number): number {
  return FIRST_JOBS * 2 ** Math.min(16, Math.floor(Math.max(0, elapsedMs) / SETTLED_MS));
}
