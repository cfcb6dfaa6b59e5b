/** How a job or a file ended, why, and which reasons earn another attempt. */

export const outcomes = ["succeeded", "failed", "skipped", "cancelled", "quarantined"] as const;
export type Outcome = (typeof outcomes)[number];

export const failureClasses = [
  "exit",
  "signal",
  "timeout",
  "out-of-memory",
  "bad-input",
  "bad-output",
  "node-lost",
  "infrastructure",
  "policy",
  "budget",
  "stuck",
  "cancelled",
] as const;
export type FailureClass = (typeof failureClasses)[number];

/** How often, and after which pause, a file that failed for one reason is tried again. */
export interface RetryRule {
  /** Starts in all, the first included. `Infinity` is written as a large number: every wait ends. */
  readonly attempts: number;
  readonly backoffMs: number;
  readonly backoffFactor: number;
  readonly maxBackoffMs: number;
}

const once: RetryRule = { attempts: 1, backoffMs: 0, backoffFactor: 1, maxBackoffMs: 0 };

/**
 * The default rule of each class. Node loss, infrastructure faults and memory kills by the governor are not the file's
 * fault: their rules are wide, and they do not use up the attempts of the other classes.
 */
export const defaultRetryRules: Readonly<Record<FailureClass, RetryRule>> = {
  exit: { attempts: 2, backoffMs: 500, backoffFactor: 2, maxBackoffMs: 30_000 },
  signal: { attempts: 3, backoffMs: 500, backoffFactor: 2, maxBackoffMs: 30_000 },
  timeout: { attempts: 2, backoffMs: 1_000, backoffFactor: 2, maxBackoffMs: 60_000 },
  "out-of-memory": { attempts: 5, backoffMs: 1_000, backoffFactor: 2, maxBackoffMs: 60_000 },
  "bad-input": once,
  "bad-output": { attempts: 2, backoffMs: 500, backoffFactor: 2, maxBackoffMs: 30_000 },
  "node-lost": { attempts: 20, backoffMs: 0, backoffFactor: 1, maxBackoffMs: 0 },
  infrastructure: { attempts: 20, backoffMs: 500, backoffFactor: 2, maxBackoffMs: 30_000 },
  policy: once,
  // What it used is gone, and another attempt would use as much.
  budget: once,
  stuck: once,
  cancelled: once,
};

/** Deaths of a worker or crashes of a process, over all attempts and runs, after which a file is quarantined. */
export const QUARANTINE_AFTER_CRASHES = 3;

/** States of a run. Terminal: `succeeded`, `failed` (some files failed), `cancelled`, `broken` (could not be carried out). */
export const runStates = ["queued", "running", "cancelling", "succeeded", "failed", "cancelled", "broken"] as const;
export type RunState = (typeof runStates)[number];

export const terminalStates = ["succeeded", "failed", "cancelled", "broken"] as const satisfies readonly RunState[];
const terminal: ReadonlySet<RunState> = new Set(terminalStates);

/** Whether a run in this state will never move again (but for a resume). */
export function isTerminal(state: RunState): boolean {
  return terminal.has(state);
}
