/**
 * Admit, defer or reject: the decision before each claim. Pure: a need, a view of this worker, an answer that says why.
 *
 * The rules are a list; the first one that objects decides. Each rule is one reason, so that "why is this not running?"
 * has one answer per queue.
 */
import { CapacityExceededError } from "../../contract/errors.ts";
import type { Amounts } from "../../contract/resources.ts";
import { admissionRules } from "./admission-rules.ts";
import { withOnly } from "./gpu-tokens.ts";
import type { AdmissionRule, AdmissionView, Objection, Refusal, Request } from "./admission-view.ts";

type Deferral = { readonly kind: "defer" } & Objection;
type Rejection = { readonly kind: "reject"; readonly error: CapacityExceededError } & Refusal;
export type Admission = { readonly kind: "admit" } | Deferral | Rejection;

/** Decides whether a job may be claimed now. `defer`: it fits this worker, not this moment. `reject`: it never will. */
export function decideAdmission(
  request: Request,
  view: AdmissionView,
  rules: readonly AdmissionRule[] = admissionRules,
): Admission {
  for (const rule of view.pluginRules === undefined ? rules : [...rules, ...view.pluginRules]) {
    const objection = rule(request, view);
    if (objection === undefined) continue;
    if (objection.code !== "UNSCHEDULABLE") return { kind: "defer", ...objection };
    const { resource, need, have } = objection;
    return { kind: "reject", ...objection, error: new CapacityExceededError(resource, need, have) };
  }
  return { kind: "admit" };
}

/**
 * The objection when another worker of this machine has promised the same room, or this card, in the same moment; `view` with
 * what the others have promised by now.
 */
export function decideCrossing(
  request: Request,
  view: AdmissionView,
  card: string | undefined,
): Exclude<Admission, { kind: "admit" }> | undefined {
  if (view.neighbours.length === 0) return undefined;
  const answer = decideAdmission(request, { ...view, gpus: withOnly(card, view.gpus, view.neighbours) });
  return answer.kind === "admit" ? undefined : answer;
}

/**
 * What the ledger takes for a need. Cores are compressible: a job that asks for more than there are gets all of them
 * and runs alone, slower, instead of never. When a person wants more processes than there are cores, each counts as
 * the share that lets them all in (`maxProcesses`; undefined when nobody has said).
 */
export function fitToCores(need: Amounts, cpuCores: number, maxProcesses: number | undefined): Amounts {
  const share = maxProcesses === undefined ? 1 : Math.min(1, cpuCores / maxProcesses);
  return { ...need, cpuCores: Math.min(need.cpuCores * share, cpuCores) };
}
