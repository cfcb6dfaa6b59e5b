/** Asks a planner of the configuration for a plan, by what the operator allows. */
import type { Allow } from "../../contract/allow.ts";
import type { Config } from "../../contract/config.ts";
import type { Clock } from "../../platform/clock.ts";
import { createCheckPlan, type PlanAgents } from "./check-plan.ts";
import { flowSchema } from "./flow-schema.ts";
import { offerOf } from "./offer.ts";
import { openPlanner, type PlannerChoice, type PlannerDeps } from "./open-planner.ts";
import { planGoal, type PlanEvent, type PlanOutcome } from "./plan-goal.ts";
import { planSchema } from "./plan-schema.ts";
import { loadPrompt } from "./prompt.ts";

/** What is to be planned, and by whom. */
export interface Goal {
  readonly goal: string;
  readonly choice: PlannerChoice;
  readonly allow: Allow;
  /** Those that nodes of a plan may name. */
  readonly profiles: Config["profiles"];
  readonly known: PlanAgents;
}

export interface AskDeps extends PlannerDeps {
  readonly clock: Clock;
  readonly onEvent: (event: PlanEvent) => void;
}

/** Rejects only when `signal` is aborted, with its reason. @throws {InvalidInputError} for settings that cannot work */
export async function askPlanner(
  { goal, choice, allow, profiles, known }: Goal,
  { clock, onEvent, ...deps }: AskDeps,
  signal: AbortSignal,
): Promise<PlanOutcome> {
  const { budget, repairs, timeout_seconds: seconds, prompt: version } = choice.settings;
  const prompt = loadPrompt(version);
  await using planner = await openPlanner(choice, deps);
  const limits = { budget, repairs };
  const offer = offerOf(allow, { agents: known.agents, profiles });
  const schema = choice.settings.kind === "model" ? planSchema(offer, choice.settings.plan) : flowSchema();
  const question = { goal, offer, schema, limits, timeoutMs: seconds * 1_000 };
  const check = createCheckPlan(allow, profiles, known);
  return await planGoal(question, { planner, plannerName: choice.name, prompt, check, clock, onEvent }, signal);
}
