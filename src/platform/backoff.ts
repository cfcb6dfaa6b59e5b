/** How long to wait before the next try: exponential with full jitter, pure. */
import type { RetryRule } from "../contract/outcomes.ts";

export type BackoffRule = Pick<RetryRule, "backoffMs" | "backoffFactor" | "maxBackoffMs">;

/** The longest wait in milliseconds before try number `attempt + 1`; `attempt` counts the tries made so far, from 1. */
export function backoffCeilingMs(attempt: number, rule: BackoffRule): number {
  const steps = Math.max(0, attempt - 1);
  return Math.min(rule.maxBackoffMs, rule.backoffMs * rule.backoffFactor ** steps);
}

/**
 * Full jitter: a whole number of milliseconds between 0 and the ceiling, so that many callers that failed together do
 * not come back together. `random` returns a number in [0, 1).
 */
export function fullJitterMs(attempt: number, rule: BackoffRule, random: () => number = Math.random): number {
  return Math.round(random() * backoffCeilingMs(attempt, rule));
}

/** Equal jitter: between half the ceiling and all of it, for waits that must not collapse to nothing. */
export function equalJitterMs(attempt: number, rule: BackoffRule, random: () => number = Math.random): number {
  const half = backoffCeilingMs(attempt, rule) / 2;
  return Math.round(half + random() * half);
}
