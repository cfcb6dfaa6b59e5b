/**
 * BullMQ's set of delayed jobs of a queue. It keeps the due time in the score, above twelve bits that keep the order of
 * equal times. A job whose time has come stays in the set until a worker fetches from the queue: it waits like any other.
 */
const ORDER_STEPS = 0x1000;

/** The key of the set. `prefix` is the result of `keyPrefix`. */
export function delayedKey(prefix: string, queue: string): string {
  return `${prefix}:${queue}:delayed`;
}

/** When the job of a score may run, in ms since 1970. */
export function dueAtMs(score: string): number {
  return Math.floor(Number(score) / ORDER_STEPS);
}

/** The highest score of those that are due at a time (ms since 1970). */
export function lastDueScore(nowMs: number): number {
  return (Math.floor(nowMs) + 1) * ORDER_STEPS - 1;
}
