/** Starts flows, begins them anew, and answers their gates. */
import { join } from "node:path";
import { checkFlow, type CheckedFlow } from "../../contract/flow-check.ts";
import { resolveInputs } from "../../contract/flow-inputs.ts";
import type { FlowDocumentInput } from "../../contract/flows.ts";
import { policyFaults } from "../../platform/flow/flow-policy-gate.ts";
import { planOf } from "../../contract/flow-plan.ts";
import { ConflictError, InvalidInputError, NotFoundError, PolicyError } from "../../contract/errors.ts";
import { nodePath, parseNodePath } from "../../contract/flow-run.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import { oneOf } from "../../contract/schema-faults.ts";
import type { Clock } from "../../platform/clock.ts";
import { flowSpec } from "../../platform/flow/flow-spec.ts";
import { FlowState, type GateAnswer } from "../../platform/flow/flow-state.ts";
import { beginningOf, loadStoredFlow, type FlowSetting, type StoredFlow } from "../../platform/flow/stored-flow.ts";
import type { PolicyGate } from "../../platform/policy-gate.ts";
import { newTraceId } from "../../platform/trace.ts";
import type { Store } from "../../store/store.ts";
import { claimOutput, enqueueRun, newRunId, type SubmitDeps } from "../submit.ts";

export interface FlowOptions extends Omit<FlowSetting, "folder"> {
  /** The folder of the run, absolute, from its id. */
  readonly folder: (runId: string) => string;
  readonly traceId?: string;
}

/** How a flow is run from code. */
export interface FlowRunOptions extends Partial<Omit<FlowSetting, "folder">> {
  /** Where the folder of the run is made, absolute. */
  readonly folder: string;
}

/** A gate that waits for an answer. */
export interface WaitingGate {
  readonly path: string;
  /** What is asked there, as the flow says it. */
  readonly message: string;
}

export interface FlowClientDeps extends SubmitDeps {
  readonly store: Store;
  readonly gate: PolicyGate;
  readonly clock: Clock;
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
    const resolved = resolveInputs(check.flow.document, more.inputs ?? {});
    if (resolved.kind === "faulty") throw new InvalidInputError("inputs of the flow", resolved.faults);
    const { base = folder, binaries = {}, agents = {} } = more;
    const inputs = resolved.values;
    return await this.start(check.flow, { base, binaries, agents, inputs, folder: (runId) => join(folder, runId) });
  }

  /** Starts a checked flow. @throws {PolicyError} with everything that is not allowed */
  async start(flow: CheckedFlow, { folder, traceId, ...rest }: FlowOptions): Promise<RunRecord> {
    const { store, clock, gate } = this.#deps;
    const id = newRunId(clock.nowMs());
    const setting: FlowSetting = { ...rest, folder: folder(id) };
    const { inputs, binaries } = setting;
    const refusals = policyFaults(flow, gate.allow, { inputs, binaryPath: (name) => binaries[name] });
    if (refusals.length > 0) throw new PolicyError(refusals);
    const { about, nodes } = beginningOf(flow, setting);
    const spec = flowSpec(about, { nodes: nodes.length, traceId: traceId ?? newTraceId() });
    gate.require(spec);
    await claimOutput(this.#deps, id, spec);
    const { run } = await store.runs.create({ id, spec, createdAtMs: clock.nowMs() });
    const stored: StoredFlow = { ...setting, plan: planOf(flow) };
    await store.inputs.append(id, 0, [JSON.stringify(stored)]);
    await new FlowState(this.#deps.redis, this.#deps.kp, { runId: id, epoch: 0 }).create(about, nodes);
    await enqueueRun(this.#deps, run, "scan");
    return run;
  }

  /**
   * Begins an ended flow anew: what succeeded and whose digests are the same is not run again. `from`: nodes that are run
   * anew all the same, and all that hang on them.
   */
  async resume(before: RunRecord, from: readonly string[] = []): Promise<RunRecord> {
    const { store, clock, gate } = this.#deps;
    const { flow, ...setting } = await this.load(before.id);
    const unknown = from.filter((id) => !flow.byId.has(id));
    if (unknown.length > 0) {
      throw new InvalidInputError(
        "resume",
        unknown.map((id) => ({
          where: "--from",
          expected: oneOf([...flow.byId.keys()], id),
          found: JSON.stringify(id),
        })),
      );
    }
    const { about, nodes } = beginningOf(flow, setting, descendantsOf(flow, from));
    const spec = { ...before.spec, traceId: newTraceId() };
    gate.require(spec);
    await claimOutput(this.#deps, before.id, spec);
    const run = await store.runs.reopen(before.id, spec, clock.nowMs());
    if (run === undefined) {
      throw new ConflictError(`run ${before.id}: expected it to have ended, found it ${before.state}`);
    }
    await new FlowState(this.#deps.redis, this.#deps.kp, { runId: run.id, epoch: run.epoch }).create(about, nodes);
    await enqueueRun(this.#deps, run, "scan");
    return run;
  }

  /** The flow of a run, as it was started. */
  load(runId: string): Promise<FlowSetting & { readonly flow: CheckedFlow }> {
    return loadStoredFlow(this.#deps.store.inputs.pages(runId), runId);
  }

  /** The gates that wait for an answer now. */
  async gates(run: Pick<RunRecord, "id" | "epoch">): Promise<WaitingGate[]> {
    const state = new FlowState(this.#deps.redis, this.#deps.kp, { runId: run.id, epoch: run.epoch });
    const gates: WaitingGate[] = [];
    for (const { node } of await state.allNodes()) {
      if (node.kind !== "gate") continue;
      const items = node.foreach === undefined ? undefined : await state.items(node.id);
      const paths = items === undefined ? [node.id] : items.map((_, at) => nodePath(node.id, at));
      const [ends, needs] = await Promise.all([state.ends(paths), state.ends(node.needs.map((edge) => edge.node))]);
      if (needs.size < node.needs.length) continue;
      for (const path of paths) if (!ends.has(path)) gates.push({ path, message: node.message });
    }
    return gates;
  }

  /** Gives the answer of a person at a gate. @throws {ConflictError} when nothing waits for it there */
  async answer(run: Pick<RunRecord, "id" | "epoch" | "state">, path: string, answer: GateAnswer): Promise<void> {
    const ref = { runId: run.id, epoch: run.epoch };
    const state = new FlowState(this.#deps.redis, this.#deps.kp, ref);
    const { id } = parseNodePath(path);
    const node = (await state.nodes([id])).get(id)?.node;
    if (node?.kind !== "gate") throw new NotFoundError("node", `${run.id} ${path}`);
    const end = (await state.ends([path])).get(path);
    if (end !== undefined)
      throw new ConflictError(`gate ${path}: expected it to wait for an answer, it ended ${end.outcome}`);
    if (!(await state.answer(path, answer))) throw new ConflictError(`gate ${path}: has an answer already`);
    // Given before the gate is reached, the answer is there when it is.
    await this.#deps.queues.promoteFork(ref, path);
  }
}

/** These nodes and all that hang on them. */
function descendantsOf(flow: CheckedFlow, ids: readonly string[]): string[] {
  const found = new Set(ids);
  for (const id of found) for (const { node } of flow.dependents.get(id) ?? []) found.add(node);
  return [...found];
}
