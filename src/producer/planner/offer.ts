/** What a planner is told that it may use: what the operator allows, and nothing that nobody has said. */
import { ANY, type Allow } from "../../contract/allow.ts";
import type { Config } from "../../contract/config.ts";
import { InvalidInputError } from "../../contract/errors.ts";
import { profileNames } from "../../contract/flow-profiles.ts";
import { allowedVariables } from "../../contract/policy.ts";
import { rulesForPlans } from "./check-plan.ts";
import type { PlanOffer } from "./planner.ts";

/** Absent is any, as everywhere in `allow`, but for what is closed for plans. */
export function offerOf(allow: Allow, { agents, profiles }: Pick<Config, "agents" | "profiles">): PlanOffer {
  const rules = rulesForPlans(allow);
  const { binaries = ANY, read = ANY, write = ANY, tools = [], models = ANY, limits = {} } = rules;
  const pathsOf = (places: typeof binaries): readonly string[] | typeof ANY =>
    places === ANY ? ANY : places.map(({ path }) => path);
  return {
    ...{ binaries: pathsOf(binaries), read, write, tools, models: pathsOf(models) },
    ...{ agents: Object.keys(agents), profiles: profileNames(profiles) },
    ...{ variables: allowedVariables(allow), network: rules.network === true },
    limits,
  };
}

/**
 * A plan that a model wrote runs only where the operator has said what may run: an open door must be somebody's decision.
 * @throws {InvalidInputError} when `allow.binaries` is not set
 */
export function requirePolicy(allow: Allow): void {
  if (allow.binaries !== undefined) return;
  const expected = 'a list of the programs that planned flows may run, or "any" (or --plan-only, which runs nothing)';
  throw new InvalidInputError("configuration", [{ where: "allow.binaries", expected, found: "nothing" }]);
}
