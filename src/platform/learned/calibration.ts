/** How carefully a class is begun of which little is known. */

/** From so many measured jobs on, their number alone holds nothing back. */
export const KNOWN_AFTER = 3;
/** A job that was measured alone says more than one among many. */
export const CALIBRATION_WEIGHT = 3;

/**
 * Whether one more job of a class may start on a worker where `running` of it run: one while nothing is known of the
 * class, then as many as were measured, and from three on as many as fit. A job that declares what it takes is not held.
 */
export function mayRunMore(samples: number, running: number): boolean {
  return samples >= KNOWN_AFTER || running < Math.max(1, Math.floor(samples));
}
