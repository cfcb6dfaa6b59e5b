/** Runs one scenario once: plans, starts the flow where an outcome is expected, and judges what came of it. */
import { agentPathOf } from "../run/binary.ts";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import type { Config } from "../../contract/config.ts";
import type { Fault } from "../../contract/errors.ts";
import type { PlanOrigin, PlanSpent } from "../../contract/stored-plan.ts";
import { systemClock } from "../../platform/clock.ts";
import { loadFlowFile } from "../../platform/flow/flow-file.ts";
import { policyFaults } from "../../platform/flow/flow-policy-gate.ts";
import { originOf } from "../../platform/plan-file.ts";
import { nothingSpent } from "../../producer/planner/next-step.ts";
import { choosePlanner, type PlannerDeps } from "../../producer/planner/open-planner.ts";
import type { PlanEvent, PlanOutcome } from "../../producer/planner/plan-goal.ts";
import { askPlanner } from "../../producer/planner/ask-planner.ts";
import type { FlowEnd, FlowStart, StartFlow } from "../flow/start-flow.ts";
import type { Io } from "../io.ts";
import { judge, type Observed } from "./judge.ts";
import type { EvalRun } from "./report.ts";
import type { PlanEnding, Scenario } from "./scenario.ts";

export interface EvalDeps extends PlannerDeps {
  readonly config: Config;
  /** Overrides the planner of every scenario. */
  readonly planner: string | undefined;
  readonly startFlow: StartFlow;
  /** What a start needs of the command line. */
  readonly start: Pick<FlowStart, "place" | "io">;
}

/** The planner that a scenario is asked of; undefined for a flow. @throws {InvalidInputError} when there is none */
export function plannerOf({ goal, planner, name }: Scenario, deps: Pick<EvalDeps, "config" | "planner">) {
  if (goal === undefined) return undefined;
  if (deps.planner === undefined && typeof planner === "object") return { name, settings: planner };
  return choosePlanner(deps.config.planners, deps.planner ?? (typeof planner === "string" ? planner : undefined));
}

export async function runScenario(scenario: Scenario, deps: EvalDeps, signal: AbortSignal): Promise<EvalRun> {
  const startedMs = systemClock.monotonicMs();
  const planned = await plan(scenario, deps, signal);
  const end = await run(scenario, planned, deps);
  const { spent, refusals, answers } = planned;
  const faults = judge(scenario.expect, { ...planned, refusals, end });
  return {
    faults,
    answers,
    validAnswers: planned.flow === undefined ? 0 : 1,
    repairs: spent.repairs,
    calls: spent.calls,
    tokens: spent.inputTokens + spent.outputTokens,
    costUsd: spent.costUsd,
    durationMs: systemClock.monotonicMs() - startedMs,
  };
}

interface Planned extends Omit<Observed, "end"> {
  readonly answers: number;
  readonly planSha256: string | undefined;
  /** Of what a planner made. */
  readonly origin?: PlanOrigin;
}

async function plan(scenario: Scenario, deps: EvalDeps, signal: AbortSignal): Promise<Planned> {
  const choice = plannerOf(scenario, deps);
  if (choice === undefined) return checkFlowFile(scenario);
  const events: PlanEvent[] = [];
  const { goal = "", allow } = scenario;
  const { profiles, agents } = deps.config;
  const onEvent = (event: PlanEvent) => events.push(event);
  const outcome = await askPlanner(
    { goal, choice, allow, profiles, known: { agents, programPath: agentPathOf(deps.start.io) } },
    { ...deps, clock: systemClock, onEvent },
    signal,
  );
  const refusals = events.flatMap((event): readonly Fault[] =>
    event.kind === "refused" || event.kind === "stopped" ? event.faults : [],
  );
  const answers = events.filter(({ kind }) => kind === "answered").length;
  const accepted = outcome.kind === "accepted" ? outcome : undefined;
  return {
    ending: endingOf(outcome),
    flow: accepted?.flow,
    planSha256: accepted?.plan.sha256,
    ...(accepted !== undefined && { origin: originOf(accepted.plan) }),
    refusals,
    answers,
    spent: accepted?.plan.spent ?? spentOf(outcome),
  };
}

function spentOf(outcome: PlanOutcome): PlanSpent {
  return outcome.kind === "accepted" ? outcome.plan.spent : outcome.spent;
}

function endingOf(outcome: PlanOutcome): PlanEnding {
  return outcome.kind === "stopped" ? outcome.cause : outcome.kind;
}

async function checkFlowFile({ flow: path = "", allow }: Scenario): Promise<Planned> {
  const loaded = await loadFlowFile(path);
  const refusals = loaded.kind === "valid" ? policyFaults(loaded.flow, allow) : loaded.faults;
  const flow = loaded.kind === "valid" && refusals.length === 0 ? loaded.flow : undefined;
  const ending = flow === undefined ? "refused" : "accepted";
  return { ending, flow, refusals, planSha256: undefined, answers: 0, spent: nothingSpent };
}

/** Starts the flow when something is expected of running it; the fixtures are this run's own. */
async function run(scenario: Scenario, planned: Planned, deps: EvalDeps): Promise<FlowEnd | undefined> {
  const { flow, origin } = planned;
  const { state, outcomes, artifacts } = scenario.expect;
  const isWanted = state !== undefined || Object.keys(outcomes).length + Object.keys(artifacts).length > 0;
  if (flow === undefined || !isWanted) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "headroom-eval-"));
  try {
    if (scenario.fixtures !== undefined) cpSync(scenario.fixtures, folder, { recursive: true });
    const config = { ...deps.config, allow: scenario.allow };
    const inputs = Object.fromEntries(
      Object.entries(scenario.inputs).map(([name, value]) => [name, placed(value, folder)]),
    );
    const output = join(folder, "runs");
    return await deps.startFlow({
      flow,
      inputs,
      config,
      base: folder,
      output,
      ...(origin !== undefined && { origin }),
      ...deps.start,
      io: quiet(deps.start.io),
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function placed<T extends string | number | boolean>(value: T, folder: string): T | string {
  return typeof value === "string" ? value.replaceAll("{fixtures}", folder) : value;
}

/** What a run says is not what is asked of a scenario. */
function quiet(io: Io): Io {
  const nowhere = () =>
    new Writable({
      write: (_chunk, _encoding, done) => {
        done();
      },
    });
  return { ...io, stdout: nowhere(), stderr: nowhere() };
}
