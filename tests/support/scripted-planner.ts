/** A planner of tests that says what it is told to, in order. */
import { nothingSpent } from "../../src/producer/planner/next-step.ts";
import type { Planner, PlannerReply, PlanRequest, PlanUsage } from "../../src/producer/planner/planner.ts";
import type { PlanQuestion } from "../../src/producer/planner/plan-goal.ts";

/** A reply, or something that happens in place of one. */
export type Scripted = PlannerReply | ((request: PlanRequest, signal: AbortSignal) => Promise<PlannerReply>);

export const usage: PlanUsage = { inputTokens: 100, outputTokens: 10, costUsd: 0.01 };

export const says = (text: string, used: PlanUsage | undefined = usage): PlannerReply => ({
  kind: "answered",
  text,
  usage: used,
});

export class ScriptedPlanner implements Planner {
  readonly kind = "scripted";
  readonly model = "script";
  readonly tellsCost = true;
  readonly requests: PlanRequest[] = [];
  readonly #script: Scripted[];

  constructor(...script: Scripted[]) {
    this.#script = script;
  }

  async plan(request: PlanRequest, signal: AbortSignal): Promise<PlannerReply> {
    this.requests.push(request);
    const next = this.#script.shift();
    if (next === undefined) throw new Error("the script has ended");
    return typeof next === "function" ? next(request, signal) : next;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is held.
  }
}

/** A planner may use nothing but the usual profile. */
export const emptyOffer: PlanQuestion["offer"] = {
  binaries: [],
  read: [],
  write: [],
  tools: [],
  models: [],
  agents: [],
  profiles: ["default"],
  variables: [],
  network: false,
  limits: {},
};

/** A question with room for eight calls. */
export function questionOf(change: Partial<PlanQuestion["limits"]["budget"]> = {}, repairs = 3): PlanQuestion {
  return {
    goal: "say hello",
    offer: { ...emptyOffer, binaries: ["/usr/bin/true"] },
    schema: {},
    limits: { budget: { calls: 8, tokens: 1_000_000, usd: undefined, seconds: 900, ...change }, repairs },
    timeoutMs: 60_000,
  };
}

/** Nothing spent, but for what is said. */
export function spentOf(change: Partial<typeof nothingSpent>): typeof nothingSpent {
  return { ...nothingSpent, ...change };
}
