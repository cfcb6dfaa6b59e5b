/** `headroom run --goal` and `--plan`: from a goal to a plan that is kept, to a person who agrees, to a flow that runs. */
import type { Config } from "../../contract/config.ts";
import {
  exitCodes,
  InvalidInputError,
  PlannerUnavailableError,
  PlanRefusedError,
  type Fault,
} from "../../contract/errors.ts";
import type { CheckedFlow } from "../../contract/flow-check.ts";
import { resolveInputs, type InputValue } from "../../contract/flow-inputs.ts";
import { profilesOf } from "../../contract/flow-profiles.ts";
import { policyFaults } from "../../platform/flow/flow-policy-gate.ts";
import { gather } from "../../contract/gather.ts";
import { systemClock } from "../../platform/clock.ts";
import { loadConfig } from "../../platform/config-file.ts";
import { askPlanner } from "../../producer/planner/ask-planner.ts";
import { createCheckPlan, rulesForPlans, type PlanAgents } from "../../producer/planner/check-plan.ts";
import { requirePolicy } from "../../producer/planner/offer.ts";
import { choosePlanner } from "../../producer/planner/open-planner.ts";
import type { PlanEvent, PlanOutcome } from "../../producer/planner/plan-goal.ts";
import { newRunId } from "../../producer/submit.ts";
import { drawFlow, parsePlanFormat } from "../flow/draw.ts";
import { drawTree } from "../flow/draw-tree.ts";
import { asSet, givenInputs } from "../flow/open-flow.ts";
import { Interrupt } from "../interrupt.ts";
import { outStyle, print, printJson, say, type Io } from "../io.ts";
import { agentPathOf } from "../run/binary.ts";
import { openPlace, placeDefaultsOf } from "../settings.ts";
import { createAskModel } from "./ask-model.ts";
import { askPerson } from "./ask-person.ts";
import { budgetOf, type GoalFlags } from "./goal-flags.ts";
import { originOf } from "../../platform/plan-file.ts";
import { runEarlierPlan, type PlanParts } from "./run-earlier.ts";
import { findPlan, PlanFolder, type FoundPlan } from "./plan-folder.ts";
import { eventText, originText } from "./plan-text.ts";
import { startFlow, type FlowEnd } from "../flow/start-flow.ts";

interface CheckedPlan extends FoundPlan {
  readonly flow: CheckedFlow;
}

/** Plans a goal, or takes a plan that was kept, and starts it unless the options say otherwise; the exit code. */
export async function runGoal(flags: GoalFlags, io: Io): Promise<number> {
  const file = flags.config === undefined ? {} : { file: flags.config };
  const config = loadConfig({ ...file, env: io.env, cwd: io.cwd });
  requireSettings(flags, config);
  const place = openPlace(flags, io, placeDefaultsOf(config));
  const parts = { flags, io, config, place };
  using interrupt = new Interrupt(() => {
    say(io, "left at once");
  });
  try {
    const { signal } = interrupt;
    const plan = flags.plan === undefined ? await makePlan(parts, signal) : keptPlan(parts, flags.plan);
    if (plan === undefined) return await runEarlierPlan(parts, flags.plan ?? "", signal);
    return await carryOut(parts, plan, signal);
  } catch (error) {
    if (!interrupt.isAsked) throw error;
    say(io, "interrupted; nothing runs");
    return exitCodes.interrupted;
  }
}

/** @throws {InvalidInputError} with all that is missing for what the options ask */
function requireSettings(flags: GoalFlags, config: Config): void {
  const faults: Fault[] = [];
  if (flags.planOnly !== true && flags.plan === undefined) {
    gather(faults, () => {
      requirePolicy(config.allow);
    });
  }
  const choice =
    flags.plan === undefined ? gather(faults, () => choosePlanner(config.planners, flags.planner)) : undefined;
  if (choice !== undefined) gather(faults, () => budgetOf(choice.settings.budget, flags));
  if (faults.length > 0) throw new InvalidInputError("command line", faults);
}

/** A plan of another day is checked by the rules of today. Undefined when there is none: it may be that of a run. */
function keptPlan({ place, io, config, flags }: PlanParts, name: string): CheckedPlan | undefined {
  const found = findPlan(name, place.home, io.cwd);
  if (found === undefined) return undefined;
  if (flags.planOnly !== true) requirePolicy(config.allow);
  const checked = createCheckPlan(config.allow, config.profiles, agentsOf(config, io))(found.plan.graph);
  if (checked.kind === "faulty") throw new PlanRefusedError(checked.faults);
  return { ...found, flow: checked.flow };
}

function agentsOf({ agents }: Config, io: Io): PlanAgents {
  return { agents, programPath: agentPathOf(io) };
}

async function makePlan({ flags, io, config, place }: PlanParts, signal: AbortSignal): Promise<CheckedPlan> {
  const choice = choosePlanner(config.planners, flags.planner);
  const { settings, name } = choice;
  const budget = budgetOf(settings.budget, flags);
  const goal = flags.goal ?? "";
  let made: PlanFolder | undefined;
  // When it is first needed: a planner that answers from the folder of plans must not find this one there.
  const folder = () => (made ??= new PlanFolder(place.home, newRunId(systemClock.nowMs()), goal));
  const onEvent = (event: PlanEvent) => {
    folder().record(event, systemClock.nowMs());
    say(io, eventText(event));
  };
  const outcome = await askPlanner(
    {
      ...{ goal, choice: { name, settings: { ...settings, budget } } },
      ...{ allow: config.allow, profiles: config.profiles, known: agentsOf(config, io) },
    },
    { env: io.env, askModel: createAskModel({ place, io, config }), clock: systemClock, onEvent },
    signal,
  );
  return keep(outcome, folder(), io);
}

/** @throws {PlanRefusedError} {PlannerUnavailableError} when there is no plan */
function keep(outcome: PlanOutcome, folder: PlanFolder, io: Io): CheckedPlan {
  switch (outcome.kind) {
    case "accepted":
      folder.keep(outcome.plan);
      return { id: folder.id, path: folder.planPath, plan: outcome.plan, flow: outcome.flow };
    case "declined":
      throw new PlanRefusedError([{ where: "--goal", expected: "a goal that can be reached", found: outcome.why }]);
    case "stopped":
      say(io, `nothing runs; every step is in ${folder.path}`);
      if (outcome.cause === "unavailable") throw new PlannerUnavailableError(outcome.faults);
      throw new PlanRefusedError(outcome.faults);
  }
}

async function carryOut(parts: PlanParts, checked: CheckedPlan, signal: AbortSignal): Promise<number> {
  const { flags, io } = parts;
  const { path, id } = checked;
  await show(parts, checked);
  const next = `to run it: headroom run --plan ${id ?? path}`;
  if (flags.planOnly === true) {
    say(io, `kept as ${path}; ${next}`);
    return told(parts, checked, { kind: "planned" });
  }
  const inputs = inputsOf(parts, checked);
  const consent = flags.approve === true ? await askPerson(io, "Run this plan?", signal) : "yes";
  signal.throwIfAborted();
  if (consent === "no") say(io, `not agreed to: nothing runs; ${next}`);
  if (consent === "nobody") say(io, `nobody is at a terminal to agree: nothing runs; ${next}`);
  if (consent !== "yes")
    return told(parts, checked, { kind: consent === "no" ? "not-agreed" : "waiting-for-approval" });
  const { config, place } = parts;
  // Programs get one object, the plan with what it came to.
  const shown = flags.json === true ? { ...io, stdout: io.stderr } : io;
  const end = await startFlow({
    ...{ flow: checked.flow, inputs, config, place, io: shown, output: flags.output },
    origin: originOf(checked.plan),
  });
  return told(parts, checked, end);
}

/** To whom agrees, all of it: a drawing leaves out prompts, variables and time limits. */
async function show({ flags, io }: PlanParts, { plan, flow }: CheckedPlan): Promise<void> {
  const format = parsePlanFormat(flags.format ?? "tree");
  // Whole lines: the end of a command must not be what was cut.
  const whole = { ...io, stdout: flags.json === true ? io.stderr : io.stdout };
  const drawing =
    format === "tree"
      ? drawTree(flow, { style: outStyle(whole), columns: undefined })
      : await drawFlow(flow, format, whole);
  if (flags.approve === true) print(whole, JSON.stringify(plan.graph, null, 2));
  print(whole, drawing);
  if (format === "tree") print(whole, originText(plan, outStyle(whole)));
}

/** @throws {InvalidInputError} naming inputs that are missing, {PlanRefusedError} when their values lead out of the rules */
function inputsOf({ flags, config }: PlanParts, { flow }: CheckedPlan): Readonly<Record<string, InputValue>> {
  const resolved = resolveInputs(flow.document, givenInputs(flow, flags.set ?? []));
  if (resolved.kind === "faulty") throw new InvalidInputError("inputs of the plan", asSet(resolved.faults));
  const faults = policyFaults(flow, rulesForPlans(config.allow), {
    inputs: resolved.values,
    profiles: profilesOf(flow, config.profiles),
  });
  if (faults.length > 0) throw new PlanRefusedError(faults);
  return resolved.values;
}

type Ending = FlowEnd | { readonly kind: "planned" | "not-agreed" | "waiting-for-approval" };

/** The object for programs, and what the shell gets. */
function told({ flags, io }: PlanParts, { plan, id, path }: CheckedPlan, ending: Ending): number {
  if (flags.json === true) printJson(io, { id: id ?? null, path, ...ending, plan });
  switch (ending.kind) {
    case "planned":
    case "waiting-for-approval":
      return exitCodes.ok;
    case "not-agreed":
      return exitCodes.someFailed;
    case "ended":
      return ending.exitCode;
  }
}
