/** What a plan must pass before it is one: the checks of every flow file, and the operator's policy. */
import type { Allow } from "../../contract/allow.ts";
import { hiddenCharacterFaults } from "../../contract/hidden-characters.ts";
import { flowDocument, type FlowDocument } from "../../contract/flows.ts";
import { schemaFaults, type PathFault } from "../../contract/schema-faults.ts";

export type PlanCheck =
  | { readonly kind: "valid"; readonly flow: FlowDocument }
  | { readonly kind: "faulty"; readonly faults: readonly PathFault[] };

/** Decides about a graph as it was written. */
export type CheckPlan = (written: unknown) => PlanCheck;

/** The checks of one operator's rules. */
export function createCheckPlan(_allow: Allow): CheckPlan {
  return (written) => {
    const hidden = hiddenCharacterFaults(written);
    if (hidden.length > 0) return { kind: "faulty", faults: hidden };
    const parsed = flowDocument.safeParse(written);
    if (parsed.success) return { kind: "valid", flow: parsed.data };
    return { kind: "faulty", faults: schemaFaults(parsed.error.issues, written, () => []) };
  };
}
