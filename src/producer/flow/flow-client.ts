/** Starts flows, begins them anew, and answers their gates. */
import { join } from "node:path";
import { checkFlow, type CheckedFlow } from "../../contract/flow-check.ts";
import { resolveInputs } from "../../contract/flow-inputs.ts";
import type { TaskMessage } from "../../contract/agents.ts";
import type { FlowDocumentInput } from "../../contract/flows.ts";
import { policyFaults } from "../../platform/flow/flow-policy-gate.ts";
import { planOf, type FlowPlan } from "../../contract/flow-plan.ts";
import type { FlowView, NodeDetail } from "../../contract/flow-view.ts";
import type { WorkerHeartbeat } from "../../contract/status.ts";
import { ConflictError, InvalidInputError, PolicyError } from "../../contract/errors.ts";
import { startsWithin } from "../../contract/flow-measure.ts";
import type { PlannedNode } from "../../contract/flow-run.ts";
import type { PlanOrigin } from "../../contract/stored-plan.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import { oneOf } from "../../contract/schema-faults.ts";
import { newTraceId } from "../../platform/trace.ts";
import type { Logger } from "../../platform/logger.ts";
import type { Clock } from "../../platform/clock.ts";
import { flowSpec } from "../../platform/flow/flow-spec.ts";
import { loadFlowOf, loadFlowView, loadNodeView, type FlowRun } from "../../platform/flow/flow-view.ts";
import { isAlive, loadHeartbeats } from "../../platform/worker-heartbeats.ts";
import { planHash } from "../../platform/flow/plan-hash.ts";
import { answerGate, waitingGates, type WaitingGate } from "../../platform/flow/gates.ts";
import { FlowState, type FlowAbout, type GateAnswer } from "../../platform/flow/flow-state.ts";
import { beginningOf, loadStoredFlow, type FlowSetting, type StoredFlow } from "../../platform/flow/stored-flow.ts";
import type { PolicyGate } from "../../platform/policy-gate.ts";
import type { Store } from "../../store/store.ts";
import { ownRun } from "../own-run.ts";
import { cancelNode } from "./cancel-node.ts";
import { rulesForPlans } from "../planner/check-plan.ts";
import { claimOutput, enqueueRun, newRunId, type SubmitDeps } from "../submit.ts";

export interface FlowOptions extends Omit<FlowSetting, "folder"> {
  /** The folder of the run, absolute, from its id. */
  readonly folder: (runId: string) => string;
  readonly traceId?: string;
  readonly idempotencyKey?: string;
  /** Where its plan came from, when a planner made it. */
  readonly origin?: PlanOrigin;
}

/** How a flow is run from code. */
export interface FlowRunOptions extends Partial<Omit<FlowSetting, "folder">> {
  /** Where the folder of the run is made, absolute. */
  readonly folder: string;
  /** The same key starts one run, however often it is given. */
  readonly idempotencyKey?: string;
  readonly traceId?: string;
}

/** What is other than before when a flow begins anew. */
export interface FlowChange extends Partial<Omit<FlowSetting, "folder">> {
  readonly flow?: CheckedFlow;
  /** Nodes that are run anew in any case, and all that hang on them. */
  readonly from?: readonly string[];
}

const ATTEMPTS_SHOWN = 100;
const RUNS_AT_ONCE = 200;

interface Beginning {
  readonly flow: CheckedFlow;
  readonly setting: FlowSetting;
  readonly about: FlowAbout;
  readonly nodes: readonly PlannedNode[];
  readonly origin?: PlanOrigin | null;
}

export interface FlowClientDeps extends SubmitDeps {
  readonly store: Store;
  readonly gate: PolicyGate;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of the agent within which it is. */
  readonly task?: TaskMessage | undefined;
}

export class FlowClient {
  readonly #deps: FlowClientDeps;

  constructor(deps: FlowClientDeps) {
    this.#deps = deps;
  }

  /**
   * Checks what was written as a flow file and starts it.
   * @throws {InvalidInputError} with every fault of it, and of its inputs
   * @throws {PolicyError} with everything that is not allowed
   */
  async run(written: FlowDocumentInput, { folder, ...more }: FlowRunOptions): Promise<RunRecord> {
    const check = checkFlow(written);
    if (check.kind === "faulty") throw new InvalidInputError("flow", check.faults);
    return await this.runChecked(check.flow, { folder, ...more });
  }

  /** Starts a checked flow with inputs that are not. @throws {InvalidInputError} @throws {PolicyError} */
  async runChecked(flow: CheckedFlow, { folder, ...more }: FlowRunOptions): Promise<RunRecord> {
    const resolved = resolveInputs(flow.document, more.inputs ?? {});
    if (resolved.kind === "faulty") throw new InvalidInputError("inputs of the flow", resolved.faults);
    const { base = folder, binaries = {}, agents = {}, profiles = {}, idempotencyKey, traceId } = more;
    const own = { inputs: resolved.values, folder: (runId: string) => join(folder, runId) };
    return await this.start(flow, {
      base,
      binaries,
      agents,
      profiles,
      ...own,
      ...(idempotencyKey !== undefined && { idempotencyKey }),
      ...(traceId !== undefined && { traceId }),
    });
  }

  /** Starts a checked flow. @throws {PolicyError} with everything that is not allowed */
  async start(
    flow: CheckedFlow,
    { folder, traceId, idempotencyKey, origin, ...rest }: FlowOptions,
  ): Promise<RunRecord> {
    const { store, clock, gate } = this.#deps;
    const earlier = idempotencyKey === undefined ? undefined : await store.runs.findByIdempotencyKey(idempotencyKey);
    if (earlier !== undefined && (await this.#hasPlan(earlier.id))) return earlier;
    // One whose caller died before its plan was kept is set up now.
    const id = earlier?.id ?? newRunId(clock.nowMs());
    const setting: FlowSetting = { ...rest, folder: folder(id), ...(await this.#boundsOf(flow, origin)) };
    this.#requireAllowed(flow, setting);
    const { about, nodes } = beginningOf(flow, setting);
    const spec = flowSpec(about, { nodes: nodes.length, traceId: traceId ?? this.#newTraceId() });
    gate.require(spec);
    await claimOutput(this.#deps, id, spec);
    const key = idempotencyKey === undefined ? {} : { idempotencyKey };
    const { run } = await store.runs.create({ id, spec, createdAtMs: clock.nowMs(), ...key });
    return this.#begin(run, { flow, setting, about, nodes, ...(origin !== undefined && { origin }) });
  }

  /**
   * Begins an ended flow anew: what succeeded and whose digests are the same is not run again.
   * @throws {InvalidInputError} @throws {PolicyError} for what is changed @throws {ConflictError} when it has not ended
   */
  async resume(before: RunRecord, { from = [], ...change }: FlowChange = {}): Promise<RunRecord> {
    const { store, clock, gate } = this.#deps;
    ownRun(before, before.id);
    const { flow, ...kept } = { ...(await this.load(before.id)), ...change };
    // By the rules of today.
    const setting: FlowSetting = { ...kept, ...(await this.#boundsOf(flow)) };
    requireNodes(flow, from);
    this.#requireAllowed(flow, setting);
    const { about, nodes } = beginningOf(flow, setting, descendantsOf(flow, from));
    const spec = flowSpec(about, { nodes: nodes.length, traceId: this.#newTraceId() });
    gate.require(spec);
    await claimOutput(this.#deps, before.id, spec);
    const run = await store.runs.reopen(before.id, spec, clock.nowMs());
    if (run === undefined) {
      throw new ConflictError(`run ${before.id}: expected it to have ended, found it ${before.state}`);
    }
    return this.#begin(run, { flow, setting, about, nodes });
  }

  /** What holds for nodes that say nothing: no network where there may be none, starts within the limits. */
  async #boundsOf(
    flow: CheckedFlow,
    origin?: PlanOrigin,
  ): Promise<Pick<FlowSetting, "isOffline" | "task" | "mostStarts">> {
    const { gate, store, task } = this.#deps;
    const isPlanned = origin !== undefined || (await store.plans.get(planHash(flow)))?.origin != null;
    const { limits = {}, network } = isPlanned ? rulesForPlans(gate.allow) : gate.allow;
    return { isOffline: network === false, task, mostStarts: startsWithin(flow, limits) };
  }

  #newTraceId(): string {
    return this.#deps.task?.trace_id ?? newTraceId();
  }

  #requireAllowed(flow: CheckedFlow, { inputs, binaries, agents, profiles, folder }: FlowSetting): void {
    const { allow } = this.#deps.gate;
    const known = { inputs, agents, profiles, runs: folder, binaryPath: (name: string) => binaries[name] };
    const refusals = policyFaults(flow, allow, known);
    if (refusals.length > 0) throw new PolicyError(refusals);
  }

  /** Keeps the plan, then the state, then adds the jobs: what is lost in between is made again from what was kept. */
  async #begin(run: RunRecord, { flow, setting, about, nodes, origin = null }: Beginning): Promise<RunRecord> {
    const { redis, kp, store } = this.#deps;
    const stored: StoredFlow = { ...setting, plan: planOf(flow) };
    const { plan } = stored;
    await Promise.all([
      store.inputs.append(run.id, 0, [JSON.stringify(stored)]),
      store.plans.keep({ sha256: about.planSha256, plan, origin }, this.#deps.clock.nowMs()),
    ]);
    await new FlowState(redis, kp, { runId: run.id, epoch: run.epoch }).create(about, nodes);
    await enqueueRun(this.#deps, run, "scan");
    return run;
  }

  async #hasPlan(runId: string): Promise<boolean> {
    for await (const _ of this.#deps.store.inputs.pages(runId)) return true;
    return false;
  }

  /** The flow of a run, as it was started. */
  load(runId: string): Promise<FlowSetting & { readonly flow: CheckedFlow }> {
    return loadStoredFlow(this.#deps.store.inputs.pages(runId), runId);
  }

  /**
   * Ends a node that has not ended, whether it runs, waits, or is not reached yet, and with it all that hang on it; of a
   * fan-out all instances that have not ended. @throws {ConflictError} when it has ended @throws {NotFoundError}
   */
  async cancelNode(run: RunRecord, path: string, reason: string): Promise<void> {
    await cancelNode(this.#deps, { run, path, reason });
  }

  /** Its nodes, and how far each is. @throws {NotFoundError} when the run is no flow */
  async view(run: FlowRun): Promise<FlowView> {
    return loadFlowView(this.#deps, run, await this.#workers());
  }

  /** The canonical plan of a run. */
  async plan(run: FlowRun): Promise<FlowPlan> {
    return planOf(await loadFlowOf(this.#deps.store, run));
  }

  /** One node, or one instance of a fan-out: how far it is, what it says, and its attempts. @throws {NotFoundError} */
  async node(run: FlowRun, path: string): Promise<NodeDetail> {
    const { view, node, end } = await loadNodeView(this.#deps, { run, path }, await this.#workers());
    const { files } = this.#deps.store;
    const [[row], attempts] = await Promise.all([
      files.get(run.id, [path]),
      files.attempts(run.id, { path, limit: ATTEMPTS_SHOWN }),
    ]);
    const own = row?.epoch === run.epoch ? row : undefined;
    const { exitCode = null, output = null, sha256 = null } = end ?? {};
    return {
      ...{ runId: run.id, epoch: run.epoch, ...view, node, exitCode, output, sha256 },
      ...{ file: own ?? null, attempts },
    };
  }

  /** The gates of all flows that go on. */
  async openGates(): Promise<(WaitingGate & { readonly runId: string; readonly name: string })[]> {
    const { runs } = this.#deps.store;
    const found = [];
    for (let afterId: string | undefined; ;) {
      const page = await runs.open({ limit: RUNS_AT_ONCE, ...(afterId !== undefined && { afterId }) });
      for (const run of page.filter(({ spec }) => spec.executor === "flow")) {
        const gates = await this.gates(run);
        found.push(...gates.map((gate) => ({ runId: run.id, name: run.spec.name ?? "", ...gate })));
      }
      afterId = page.at(-1)?.id;
      if (page.length < RUNS_AT_ONCE) return found;
    }
  }

  /** The workers that are there. */
  async #workers(): Promise<readonly WorkerHeartbeat[]> {
    const { redis, kp, clock } = this.#deps;
    return (await loadHeartbeats(redis, kp)).filter((worker) => isAlive(worker, clock.nowMs()));
  }

  /** The gates that wait for an answer now. */
  gates(run: Pick<RunRecord, "id" | "epoch">): Promise<WaitingGate[]> {
    return waitingGates(new FlowState(this.#deps.redis, this.#deps.kp, { runId: run.id, epoch: run.epoch }));
  }

  /** Gives the answer of a person at a gate. @throws {ConflictError} when nothing waits for it there */
  async answer(run: Pick<RunRecord, "id" | "epoch">, path: string, answer: GateAnswer): Promise<void> {
    await answerGate(this.#deps, { runId: run.id, epoch: run.epoch }, path, answer);
  }
}

function requireNodes({ byId }: CheckedFlow, ids: readonly string[]): void {
  const unknown = ids.filter((id) => !byId.has(id));
  if (unknown.length === 0) return;
  const faultOf = (id: string) => ({
    where: "--from",
    expected: oneOf([...byId.keys()], id),
    found: JSON.stringify(id),
  });
  throw new InvalidInputError("resume", unknown.map(faultOf));
}

/** These nodes and all that hang on them. */
function descendantsOf(flow: CheckedFlow, ids: readonly string[]): string[] {
  const found = new Set(ids);
  for (const id of found) for (const { node } of flow.dependents.get(id) ?? []) found.add(node);
  return [...found];
}
