/**
 * From a goal to an accepted plan: ask, read, check, send faults back, within a budget. What is decided is in
 * `next-step.ts`, `extract-plan.ts` and `check-plan.ts`; here are the calls, in a state that only grows:
 * asked -> answered or failed -> refused or accepted. Nothing of an answer is ever carried out here.
 */
import { messageOf, type Fault } from "../../contract/errors.ts";
import type { CheckedFlow } from "../../contract/flow-check.ts";
import { planOf } from "../../contract/flow-plan.ts";
import type { JsonSchema } from "../../contract/json-schema.ts";
import type { PlanSpent, StoredPlan } from "../../contract/stored-plan.ts";
import type { Clock } from "../../platform/clock.ts";
import { sealPlan } from "../../platform/plan-file.ts";
import type { CheckPlan, PlanCheck } from "./check-plan.ts";
import { extractPlan, type Extraction } from "./extract-plan.ts";
import { decideNext, nothingSpent, spend, type LastCall, type PlanLimits, type StopCause } from "./next-step.ts";
import type { Planner, PlannerReply, PlanOffer, PlanRequest, PlanUsage, PromptMessage } from "./planner.ts";
import type { Prompt } from "./prompt.ts";

/** What happened, in order; kept beside the plan. */
export type PlanEvent =
  | { readonly kind: "asked"; readonly call: number; readonly chars: number }
  | {
      readonly kind: "answered";
      readonly call: number;
      readonly text: string;
      readonly usage: PlanUsage | null;
      readonly durationMs: number;
    }
  | { readonly kind: "failed"; readonly call: number; readonly failure: string; readonly message: string }
  | { readonly kind: "waiting"; readonly waitMs: number }
  | { readonly kind: "refused"; readonly call: number; readonly faults: readonly Fault[] }
  | { readonly kind: "accepted"; readonly call: number; readonly graphSha256: string; readonly nodes: number }
  | { readonly kind: "declined"; readonly call: number; readonly why: string }
  | { readonly kind: "stopped"; readonly cause: StopCause; readonly faults: readonly Fault[] };

export interface PlanQuestion {
  readonly goal: string;
  readonly offer: PlanOffer;
  readonly schema: JsonSchema;
  readonly limits: PlanLimits;
  /** For one call. */
  readonly timeoutMs: number;
}

export interface PlanDeps {
  readonly planner: Planner;
  readonly plannerName: string;
  readonly prompt: Prompt;
  readonly check: CheckPlan;
  readonly clock: Clock;
  readonly onEvent: (event: PlanEvent) => void;
  /** In [0, 1); spreads the pauses between failed calls. */
  readonly random?: () => number;
}

export type PlanOutcome =
  | { readonly kind: "accepted"; readonly plan: StoredPlan; readonly flow: CheckedFlow }
  | { readonly kind: "declined"; readonly why: string; readonly spent: PlanSpent }
  | {
      readonly kind: "stopped";
      readonly cause: StopCause;
      readonly faults: readonly Fault[];
      readonly spent: PlanSpent;
    };

/** Faults that a planner is told at once. */
const TOLD_FAULTS = 20;
const LEAST_OUTPUT_TOKENS = 256;
/** A plan is shorter. A call that fails is counted with all that it could write, which must leave some for others. */
const MOST_OUTPUT_TOKENS = 65_536;

/** Asks until a plan passes or it is not worth going on. Rejects only when `signal` is aborted, with its reason. */
export function planGoal(question: PlanQuestion, deps: PlanDeps, signal: AbortSignal): Promise<PlanOutcome> {
  return new Planning(question, deps, signal).run();
}

class Planning {
  readonly #question: PlanQuestion;
  readonly #deps: PlanDeps;
  readonly #signal: AbortSignal;
  readonly #startedMs: number;
  readonly #firstMessages: readonly PromptMessage[];
  #spent = nothingSpent;
  #last: LastCall = { kind: "none" };
  #failuresInARow = 0;
  /** What goes back: the last answer that was read, and its faults. */
  #refused: { readonly answer: string; readonly faults: readonly Fault[] } | undefined;

  constructor(question: PlanQuestion, deps: PlanDeps, signal: AbortSignal) {
    this.#question = question;
    this.#deps = deps;
    this.#signal = signal;
    this.#startedMs = deps.clock.monotonicMs();
    this.#firstMessages = deps.prompt.ask(question);
  }

  async run(): Promise<PlanOutcome> {
    const { clock, onEvent } = this.#deps;
    for (;;) {
      this.#signal.throwIfAborted();
      const situation = { spent: this.#spent, last: this.#last, elapsedMs: this.#elapsedMs() };
      const step = decideNext(situation, this.#question.limits, this.#deps.random);
      if (step.kind === "stop") {
        onEvent({ kind: "stopped", cause: step.cause, faults: step.faults });
        return { ...step, kind: "stopped", spent: this.#spent };
      }
      if (step.waitMs > 0) {
        onEvent({ kind: "waiting", waitMs: step.waitMs });
        await clock.sleep(step.waitMs, this.#signal);
      }
      if (this.#last.kind === "faulty") this.#spent = { ...this.#spent, repairs: this.#spent.repairs + 1 };
      const outcome = await this.#ask();
      if (outcome !== undefined) return outcome;
    }
  }

  /** One call and what follows from it; undefined when there is no plan yet. */
  async #ask(): Promise<PlanOutcome | undefined> {
    const { onEvent, clock } = this.#deps;
    const call = this.#spent.calls + 1;
    const messages = this.#messages();
    const asked = messages.reduce((sum, { content }) => sum + content.length, 0);
    onEvent({ kind: "asked", call, chars: asked });
    const startedMs = clock.monotonicMs();
    const maxOutputTokens = this.#maxOutputTokens();
    const reply = await this.#call({ call, messages, maxOutputTokens });
    this.#spent = spend(this.#spent, reply, { chars: asked, maxOutputTokens });
    if (reply.kind === "failed") {
      this.#failed(call, reply);
      return undefined;
    }
    this.#failuresInARow = 0;
    const durationMs = Math.round(clock.monotonicMs() - startedMs);
    onEvent({ kind: "answered", call, text: reply.text, usage: reply.usage ?? null, durationMs });
    return this.#read(call, reply.text);
  }

  #messages(): readonly PromptMessage[] {
    if (this.#refused === undefined) return this.#firstMessages;
    const { answer, faults } = this.#refused;
    return [...this.#firstMessages, ...this.#deps.prompt.repair(answer, faults.slice(0, TOLD_FAULTS))];
  }

  /** Within what is left of the budget. */
  #maxOutputTokens(): number {
    const { inputTokens, outputTokens } = this.#spent;
    const left = this.#question.limits.budget.tokens - inputTokens - outputTokens;
    return Math.max(LEAST_OUTPUT_TOKENS, Math.min(MOST_OUTPUT_TOKENS, left));
  }

  /** One call within its time, and within what is left of the whole. */
  async #call(asked: Pick<PlanRequest, "call" | "messages" | "maxOutputTokens">): Promise<PlannerReply> {
    const { goal, offer, schema, timeoutMs, limits } = this.#question;
    const { budget } = limits;
    const leftMs = Math.min(timeoutMs, budget.seconds * 1_000 - this.#elapsedMs());
    const faults = this.#refused?.faults ?? [];
    const over = new AbortController();
    const ended = new AbortController();
    const timer = this.#deps.clock.sleep(leftMs, ended.signal).then(
      () => {
        over.abort(new Error("the time for one call is over"));
      },
      // The call has ended first.
      () => undefined,
    );
    try {
      const request = { goal, offer, schema, faults, ...asked };
      return await this.#deps.planner.plan(request, AbortSignal.any([this.#signal, over.signal]));
    } catch (error) {
      this.#signal.throwIfAborted();
      const message = over.signal.aborted ? `no answer in ${Math.round(leftMs)} ms` : messageOf(error);
      return { kind: "failed", failure: over.signal.aborted ? "slow" : "broken", message };
    } finally {
      ended.abort();
      await timer;
    }
  }

  #failed(call: number, { failure, message, retryAfterMs }: Extract<PlannerReply, { kind: "failed" }>): void {
    this.#failuresInARow += 1;
    this.#last = { kind: "failed", failure, message, retryAfterMs, inARow: this.#failuresInARow };
    this.#deps.onEvent({ kind: "failed", call, failure, message });
  }

  #read(call: number, text: string): PlanOutcome | undefined {
    const { onEvent, check } = this.#deps;
    const judged = judge(text, check);
    switch (judged.kind) {
      case "declined":
        onEvent({ kind: "declined", call, why: judged.why });
        return { ...judged, spent: this.#spent };
      case "faulty":
        this.#refuse(call, text, judged.faults);
        return undefined;
      case "valid": {
        const plan = this.#seal(judged.flow);
        onEvent({ kind: "accepted", call, graphSha256: plan.graphSha256, nodes: judged.flow.document.nodes.length });
        return { kind: "accepted", plan, flow: judged.flow };
      }
    }
  }

  #refuse(call: number, answer: string, found: readonly Fault[]): void {
    const faults = found.map(({ where, expected, found: what }) => ({ where, expected, found: what }));
    this.#refused = { answer, faults };
    this.#last = { kind: "faulty", faults };
    this.#deps.onEvent({ kind: "refused", call, faults });
  }

  #seal(flow: CheckedFlow): StoredPlan {
    const { planner, plannerName, prompt, clock } = this.#deps;
    return sealPlan({
      goal: this.#question.goal,
      planner: { name: plannerName, kind: planner.kind, model: planner.model ?? null },
      prompt: { version: prompt.version, sha256: prompt.sha256 },
      spent: this.#spent,
      acceptedAtMs: clock.nowMs(),
      // Without what is undefined, as JSON has it.
      graph: JSON.parse(JSON.stringify(planOf(flow).flow)) as StoredPlan["graph"],
    });
  }

  #elapsedMs(): number {
    return this.#deps.clock.monotonicMs() - this.#startedMs;
  }
}

type Judged = Exclude<Extraction, { kind: "plan" }> | PlanCheck;

/** What an answer is worth. */
function judge(text: string, check: CheckPlan): Judged {
  const extraction = extractPlan(text);
  return extraction.kind === "plan" ? check(extraction.written) : extraction;
}
