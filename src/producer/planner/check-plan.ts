/** What a plan must pass before it is one: what every flow must, nothing hidden, and the operator's policy. */
import type { Allow } from "../../contract/allow.ts";
import type { Config } from "../../contract/config.ts";
import { checkFlow, type CheckedFlow } from "../../contract/flow-check.ts";
import { profileNames, profilesOf } from "../../contract/flow-profiles.ts";
import { hiddenCharacterFaults } from "../../contract/hidden-characters.ts";
import type { PathFault } from "../../contract/schema-faults.ts";
import { policyFaults } from "../../platform/flow/flow-policy-gate.ts";

export type PlanCheck =
  | { readonly kind: "valid"; readonly flow: CheckedFlow }
  | { readonly kind: "faulty"; readonly faults: readonly PathFault[] };

/** Decides about a graph as it was written. */
export type CheckPlan = (written: unknown) => PlanCheck;

/** The rules for plans: an agent's tools and the network are closed where the operator has not said anything. */
export function rulesForPlans(allow: Allow): Allow {
  return { ...allow, tools: allow.tools ?? [], network: allow.network ?? false };
}

/** The checks of one operator's rules and profiles. A plan names no other flow files: there are none beside it. */
export function createCheckPlan(allow: Allow, profiles: Config["profiles"] = {}): CheckPlan {
  const names = profileNames(profiles);
  return (written) => {
    const hidden = hiddenCharacterFaults(written);
    const checked = hidden.length > 0 ? { kind: "faulty" as const, faults: hidden } : checkFlow(written, {}, "", names);
    if (checked.kind === "faulty") return checked;
    const faults = policyFaults(checked.flow, rulesForPlans(allow), { profiles: profilesOf(checked.flow, profiles) });
    return faults.length > 0 ? { kind: "faulty", faults } : checked;
  };
}
