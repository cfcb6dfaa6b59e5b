/** What a plan is known by. */
import { createHash } from "node:crypto";
import type { CheckedFlow } from "../../contract/flow-check.ts";
import { canonicalJson, planOf } from "../../contract/flow-plan.ts";

/** A flow is asked for its hash more than once on its way in. */
const hashes = new WeakMap<CheckedFlow, string>();

/** SHA-256 of the canonical JSON of a flow with all flows in it: the same plan has the same hash, however it was written. */
export function planHash(flow: CheckedFlow): string {
  const known = hashes.get(flow);
  if (known !== undefined) return known;
  const hash = createHash("sha256")
    .update(canonicalJson(planOf(flow)))
    .digest("hex");
  hashes.set(flow, hash);
  return hash;
}
