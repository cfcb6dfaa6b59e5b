/** `headroom run --plan RUN`: the flow of an earlier run once more, as a run of its own. */
import type { Config } from "../../contract/config.ts";
import { exitCodes, InvalidInputError, NotFoundError, PolicyError } from "../../contract/errors.ts";
import type { CheckedFlow } from "../../contract/flow-check.ts";
import { resolveInputs, type InputValue } from "../../contract/flow-inputs.ts";
import { planOf } from "../../contract/flow-plan.ts";
import { profilesOf } from "../../contract/flow-profiles.ts";
import type { PlanOrigin } from "../../contract/stored-plan.ts";
import { policyFaults } from "../../platform/flow/flow-policy-gate.ts";
import { planHash } from "../../platform/flow/plan-hash.ts";
import type { FlowSetting } from "../../platform/flow/stored-flow.ts";
import { rulesForPlans } from "../../producer/planner/check-plan.ts";
import { requirePolicy } from "../../producer/planner/offer.ts";
import { withCluster } from "../command-line.ts";
import { drawFlow, parsePlanFormat } from "../flow/draw.ts";
import { asSet, parseSet } from "../flow/open-flow.ts";
import { startFlow } from "../flow/start-flow.ts";
import { print, printJson, say, type Io } from "../io.ts";
import type { Place } from "../settings.ts";
import { askPerson } from "./ask-person.ts";
import type { GoalFlags } from "./goal-flags.ts";
import { noSuchPlan } from "./plan-folder.ts";

/** What commands about plans have in common. */
export interface PlanParts {
  readonly flags: GoalFlags;
  readonly io: Io;
  readonly config: Config;
  readonly place: Place;
}

type EarlierFlow = FlowSetting & { readonly flow: CheckedFlow; readonly origin: PlanOrigin | null };

/** Starts the flow of that run, with its inputs unless others are set; the exit code. @throws {InvalidInputError} when there is none */
export async function runEarlierPlan(parts: PlanParts, runId: string, signal: AbortSignal): Promise<number> {
  const { flags, io, config, place } = parts;
  const earlier = await loadEarlier(parts, runId);
  const { flow, base, origin } = earlier;
  const inputs = inputsOf(earlier, flags.set ?? []);
  requireAllowed(earlier, inputs, parts);
  const shown = flags.json === true ? { ...io, stdout: io.stderr } : io;
  print(shown, await drawFlow(flow, parsePlanFormat(flags.format ?? "tree"), shown));
  const ending = async () => {
    if (flags.planOnly === true) return { kind: "planned", exitCode: exitCodes.ok };
    const consent = flags.approve === true ? await askPerson(io, "Run this plan?", signal) : "yes";
    signal.throwIfAborted();
    if (consent === "yes") {
      const own = origin === null ? {} : { origin };
      return startFlow({ flow, inputs, base, config, place, io: shown, output: flags.output, ...own });
    }
    say(io, `${consent === "no" ? "not agreed to" : "nobody is at a terminal to agree"}: nothing runs`);
    if (consent === "no") return { kind: "not-agreed", exitCode: exitCodes.someFailed };
    return { kind: "waiting-for-approval", exitCode: exitCodes.ok };
  };
  const { exitCode, ...told } = await ending();
  if (flags.json === true) printJson(io, { earlier: runId, hash: planHash(flow), ...told, plan: planOf(flow) });
  return exitCode;
}

function loadEarlier({ flags, io, place }: PlanParts, runId: string): Promise<EarlierFlow> {
  return withCluster(flags, io, async ({ client, store }) => {
    try {
      const run = await client.status(runId);
      if (run.spec.executor !== "flow" || run.spec.parent !== undefined) throw new NotFoundError("flow", runId);
      const kept = await client.flows.load(runId);
      return { ...kept, origin: (await store.plans.get(planHash(kept.flow)))?.origin ?? null };
    } catch (error) {
      if (error instanceof NotFoundError) throw noSuchPlan(runId, place.home);
      throw error;
    }
  });
}

/** By the rules of today; what a planner made stays closed where nobody has said what may run. */
function requireAllowed(
  { flow, binaries, agents, origin }: EarlierFlow,
  inputs: Readonly<Record<string, InputValue>>,
  { flags, config }: PlanParts,
): void {
  if (origin !== null && flags.planOnly !== true) requirePolicy(config.allow);
  const allow = origin === null ? config.allow : rulesForPlans(config.allow);
  const refusals = policyFaults(flow, allow, {
    ...{ inputs, agents },
    binaryPath: (name) => binaries[name],
    profiles: profilesOf(flow, config.profiles),
  });
  if (refusals.length > 0) throw new PolicyError(refusals);
}

function inputsOf({ flow, inputs }: EarlierFlow, set: readonly string[]): Readonly<Record<string, InputValue>> {
  const { given, faults } = parseSet(set);
  const resolved = resolveInputs(flow.document, { ...inputs, ...given });
  if (resolved.kind === "faulty") faults.push(...asSet(resolved.faults));
  if (faults.length > 0 || resolved.kind === "faulty") throw new InvalidInputError("command line", faults);
  return resolved.values;
}
