/** What a plan must pass before it is one: what every flow must, nothing hidden, and the operator's policy. */
import type { Allow } from "../../contract/allow.ts";
import { checkFlow, type CheckedFlow } from "../../contract/flow-check.ts";
import { hiddenCharacterFaults } from "../../contract/hidden-characters.ts";
import type { PathFault } from "../../contract/schema-faults.ts";

export type PlanCheck =
  | { readonly kind: "valid"; readonly flow: CheckedFlow }
  | { readonly kind: "faulty"; readonly faults: readonly PathFault[] };

/** Decides about a graph as it was written. */
export type CheckPlan = (written: unknown) => PlanCheck;

/** The checks of one operator's rules. A plan names no other flow files: there are none beside it. */
export function createCheckPlan(_allow: Allow): CheckPlan {
  return (written) => {
    const hidden = hiddenCharacterFaults(written);
    return hidden.length > 0 ? { kind: "faulty", faults: hidden } : checkFlow(written);
  };
}
