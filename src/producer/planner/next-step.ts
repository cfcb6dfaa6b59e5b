/** Whether a planner is asked again, pure: budgets hold across all calls for one goal, repairs and retries alike. */
import { equalJitterMs } from "../../platform/backoff.ts";
import type { Fault } from "../../contract/errors.ts";
import type { PlanBudget } from "../../contract/planners.ts";
import type { PlanSpent } from "../../contract/stored-plan.ts";
import { callFailures, type CallFailureKind, type PlannerReply, type PlanUsage } from "./planner.ts";

/** How the last call ended, when it brought no plan. */
export type LastCall =
  { readonly kind: "none" } | { readonly kind: "faulty"; readonly faults: readonly Fault[] } | FailedCall;

export interface FailedCall {
  readonly kind: "failed";
  readonly failure: CallFailureKind;
  readonly message: string;
  readonly retryAfterMs: number | undefined;
  /** Calls in a row that failed, this one with them. */
  readonly inARow: number;
}

export interface PlanLimits {
  readonly budget: PlanBudget;
  readonly repairs: number;
}

/** `refused`: what was written is no plan. `unavailable`: the planner does not answer. `budget`: it would cost too much. */
export type StopCause = "refused" | "unavailable" | "budget";

export type NextStep =
  | { readonly kind: "ask"; readonly waitMs: number }
  | { readonly kind: "stop"; readonly cause: StopCause; readonly faults: readonly Fault[] };

const pauses = { backoffMs: 1_000, backoffFactor: 2, maxBackoffMs: 30_000 } as const;
/** Characters of one token, fewer than in most languages: an estimate should rather be too high. */
const CHARS_PER_TOKEN = 3;

export const nothingSpent: PlanSpent = {
  calls: 0,
  repairs: 0,
  inputTokens: 0,
  outputTokens: 0,
  costUsd: 0,
  isEstimated: false,
};

/** How much was asked, and how much could be written. */
export interface Asked {
  readonly chars: number;
  readonly maxOutputTokens: number;
}

/**
 * What has been used after one more call. What a planner does not tell is counted from the characters; a call that failed
 * may have written all that it could.
 */
export function spend(spent: PlanSpent, reply: PlannerReply, { chars, maxOutputTokens }: Asked): PlanSpent {
  const usage = reply.usage ?? (reply.kind === "failed" && callFailures[reply.failure].isFree ? free : undefined);
  const written = reply.kind === "answered" ? tokensOf(reply.text.length) : maxOutputTokens;
  const unknown = { inputTokens: tokensOf(chars), outputTokens: written, costUsd: null };
  const { inputTokens, outputTokens, costUsd } = usage ?? unknown;
  return {
    ...spent,
    calls: spent.calls + 1,
    inputTokens: spent.inputTokens + inputTokens,
    outputTokens: spent.outputTokens + outputTokens,
    costUsd: costUsd === null || spent.costUsd === null ? null : spent.costUsd + costUsd,
    isEstimated: spent.isEstimated || usage === undefined,
  };
}

const free: PlanUsage = { inputTokens: 0, outputTokens: 0, costUsd: 0 };

function tokensOf(chars: number): number {
  return Math.ceil(chars / CHARS_PER_TOKEN);
}

export interface Situation {
  readonly spent: PlanSpent;
  readonly last: LastCall;
  readonly elapsedMs: number;
}

/** Decides what follows a call that brought no plan. */
export function decideNext(
  { spent, last, elapsedMs }: Situation,
  { budget, repairs }: PlanLimits,
  random: () => number = Math.random,
): NextStep {
  const known = knownFaults(last);
  if (last.kind === "failed" && !callFailures[last.failure].isPassing) {
    return { kind: "stop", cause: "unavailable", faults: known };
  }
  if (last.kind === "faulty" && spent.repairs >= repairs) {
    const fault = {
      where: "repairs",
      expected: "a plan without faults",
      found: `faults after ${counted(repairs, "repair")}`,
    };
    return { kind: "stop", cause: "refused", faults: [fault, ...known] };
  }
  const over = budgetFaults(spent, elapsedMs, budget);
  if (over.length > 0) return { kind: "stop", cause: "budget", faults: [...over, ...known] };
  const waitMs = last.kind === "failed" ? pauseMs(last, random) : 0;
  if (elapsedMs + waitMs < budget.seconds * 1_000) return { kind: "ask", waitMs };
  const fault = { where: "budget.seconds", expected: `${budget.seconds} s at most`, found: `a wait of ${waitMs} ms` };
  return { kind: "stop", cause: "budget", faults: [fault, ...known] };
}

function pauseMs({ failure, retryAfterMs, inARow }: FailedCall, random: () => number): number {
  if (failure === "unknown-format") return 0;
  return Math.max(retryAfterMs ?? 0, equalJitterMs(inARow, pauses, random));
}

function knownFaults(last: LastCall): readonly Fault[] {
  if (last.kind === "none") return [];
  if (last.kind === "faulty") return last.faults;
  return [{ where: "planner", expected: "an answer", found: `${last.failure}: ${last.message}` }];
}

function budgetFaults(spent: PlanSpent, elapsedMs: number, budget: PlanBudget): Fault[] {
  const tokens = spent.inputTokens + spent.outputTokens;
  const faults: Fault[] = [];
  const hold = (where: string, isOver: boolean, expected: string, found: string): void => {
    if (isOver) faults.push({ where: `budget.${where}`, expected, found });
  };
  hold("calls", spent.calls >= budget.calls, `${counted(budget.calls, "call")} at most`, `${spent.calls} made`);
  hold("tokens", tokens >= budget.tokens, `${budget.tokens} tokens at most`, `${tokens} used`);
  hold(
    "seconds",
    elapsedMs >= budget.seconds * 1_000,
    `${budget.seconds} s at most`,
    `${Math.round(elapsedMs)} ms passed`,
  );
  if (budget.usd !== undefined) {
    const { costUsd } = spent;
    const found = costUsd === null ? "a call that did not tell its cost" : `$${costUsd.toFixed(4)} used`;
    hold("usd", costUsd === null || costUsd >= budget.usd, `$${budget.usd} at most`, found);
  }
  return faults;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
