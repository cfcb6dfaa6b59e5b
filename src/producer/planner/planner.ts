/**
 * The seam of planners: one call, one answer. A planner knows nothing of flows, faults or budgets; `plan-goal.ts` asks it
 * again when that is worth it. What it answers is data: it is read, checked and shown, and never acted on by itself.
 */
import type { FlowLimits } from "../../contract/allow.ts";
import type { Fault } from "../../contract/errors.ts";
import type { JsonSchema } from "../../contract/json-schema.ts";

export interface PromptMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** What a plan may use, as the operator allows it. `any`: the operator has said so. */
export interface PlanOffer {
  readonly binaries: readonly string[] | "any";
  readonly read: readonly string[] | "any";
  readonly write: readonly string[] | "any";
  readonly tools: readonly string[] | "any";
  readonly models: readonly string[] | "any";
  /** Names of agent programs. */
  readonly agents: readonly string[];
  readonly profiles: readonly string[];
  /** Names of variables that nodes may set. */
  readonly variables: readonly string[] | "any";
  readonly network: boolean;
  /** As `allow.limits` writes them. */
  readonly limits: FlowLimits;
}

export interface PlanRequest {
  readonly goal: string;
  /** Which call for this goal it is, from 1. */
  readonly call: number;
  readonly offer: PlanOffer;
  /** What a plan must be, for endpoints that hold answers to a schema. */
  readonly schema: JsonSchema;
  /** What was wrong with the last answer; empty the first time. */
  readonly faults: readonly Fault[];
  /** All of the above in words, for models. */
  readonly messages: readonly PromptMessage[];
  /** A longer answer would be more than the budget holds. */
  readonly maxOutputTokens: number;
}

export interface PlanUsage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Null when the planner cannot say. */
  readonly costUsd: number | null;
}

/**
 * What kept a planner from answering; whether the same question later may do better, and whether it cost nothing: of the
 * others that may have written something nobody knows what they used, unless they say so.
 */
export const callFailures = {
  /** Nobody answers at the address, or the program cannot be started. */
  unreachable: { isPassing: true, isFree: true },
  /** The time for one call is over. */
  slow: { isPassing: true, isFree: false },
  /** The answer began and did not end. */
  "cut-off": { isPassing: true, isFree: false },
  /** Too many questions; `retryAfterMs` says when to come back. */
  throttled: { isPassing: true, isFree: true },
  /** The other side says that it has failed. */
  broken: { isPassing: true, isFree: false },
  /** It cannot answer in the form that was asked for; the planner asks in another one next time. */
  "unknown-format": { isPassing: true, isFree: true },
  /** The question, the key or the model is refused. */
  rejected: { isPassing: false, isFree: true },
  /** More was written than `answer_max_bytes`. */
  "too-long": { isPassing: false, isFree: false },
  /** What came is not what the protocol says. */
  unreadable: { isPassing: false, isFree: false },
  /** A recording has no further answer. */
  exhausted: { isPassing: false, isFree: true },
} as const satisfies Record<string, { readonly isPassing: boolean; readonly isFree: boolean }>;
export type CallFailureKind = keyof typeof callFailures;

export type PlannerReply =
  /** Without `usage` the planner does not know, and it is estimated. */
  | { readonly kind: "answered"; readonly text: string; readonly usage: PlanUsage | undefined }
  | {
      readonly kind: "failed";
      readonly failure: CallFailureKind;
      /** One line, without secrets. */
      readonly message: string;
      readonly retryAfterMs?: number;
      /** What the failed call used all the same, when it is known. */
      readonly usage?: PlanUsage;
    };

export interface Planner extends AsyncDisposable {
  /** What is recorded with a plan. */
  readonly kind: string;
  readonly model: string | undefined;
  /** Whether it can say what a call cost: a budget in money needs that. */
  readonly tellsCost: boolean;
  /**
   * Asks once. Resolves with a failure rather than rejecting, whatever the other side does; rejects with the signal's
   * reason alone, when that is aborted, after all that was started has ended.
   */
  plan(request: PlanRequest, signal: AbortSignal): Promise<PlannerReply>;
}
