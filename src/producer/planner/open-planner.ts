/** From the name of a planner to one that can be asked. Each kind is loaded when it is wanted. */
import type { Config } from "../../contract/config.ts";
import { InvalidInputError } from "../../contract/errors.ts";
import type { PlannerSettings } from "../../contract/planners.ts";
import { oneOf } from "../../contract/schema-faults.ts";
import type { AskModel } from "./cluster-model.ts";
import type { Planner } from "./planner.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface PlannerChoice {
  readonly name: string;
  readonly settings: PlannerSettings;
}

/**
 * The planner of this name; without a name the one called `default`, or the only one. `where` is where it was named.
 * @throws {InvalidInputError} when there is none, or the name is none of them
 */
export function choosePlanner(planners: Config["planners"], name?: string, where = "--planner"): PlannerChoice {
  const names = Object.keys(planners);
  const [only] = names;
  const chosen = name ?? (names.length === 1 ? only : "default");
  const settings = chosen === undefined ? undefined : planners[chosen];
  if (chosen !== undefined && settings !== undefined) return { name: chosen, settings };
  const expected = names.length === 0 ? "a planner in the section planners of the configuration" : oneOf(names, name);
  throw new InvalidInputError(where.startsWith("--") ? "command line" : "request", [
    { where, expected, found: name === undefined ? "nothing" : JSON.stringify(name) },
  ]);
}

export interface PlannerDeps {
  readonly env: Environment;
  /** Of planners that are models of the cluster. */
  readonly askModel: AskModel;
}

/** Opens it; the caller disposes of it. @throws {InvalidInputError} for settings that cannot work */
export async function openPlanner({ name, settings }: PlannerChoice, deps: PlannerDeps): Promise<Planner> {
  const planner = await create(settings, deps);
  if (settings.budget.usd === undefined || planner.tellsCost) return planner;
  await planner[Symbol.asyncDispose]();
  const expected = "a planner that tells what a call costs, or prices";
  const where = `planners.${name}.budget.usd`;
  throw new InvalidInputError("configuration", [{ where, expected, found: `one of the kind ${settings.kind}` }]);
}

async function create(settings: PlannerSettings, { env, askModel }: PlannerDeps): Promise<Planner> {
  switch (settings.kind) {
    case "recorded":
      return new (await import("./recorded.ts")).RecordedPlanner(settings);
    case "claude-code":
      return new (await import("./claude-code.ts")).ClaudeCodePlanner(settings, env);
    case "openai":
      return new (await import("./openai.ts")).OpenAiPlanner(settings, env);
    case "model":
      return new (await import("./cluster-model.ts")).ClusterModelPlanner(settings, askModel);
  }
}
