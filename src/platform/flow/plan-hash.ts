/** What a plan is known by. */
import { createHash } from "node:crypto";
import type { CheckedFlow } from "../../contract/flow-check.ts";
import { canonicalJson, planOf } from "../../contract/flow-plan.ts";

/** SHA-256 of the canonical JSON of a flow with all flows in it: the same plan has the same hash, however it was written. */
export function planHash(flow: CheckedFlow): string {
  return createHash("sha256")
    .update(canonicalJson(planOf(flow)))
    .digest("hex");
}
