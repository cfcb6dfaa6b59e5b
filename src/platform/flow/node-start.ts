/** Starts the work of nodes that are ready: calls that are to be added, gates, and runs of their own. */
import type { Redis } from "ioredis";
import { join } from "node:path";
import { InvalidInputError, PolicyError } from "../../contract/errors.ts";
import type { FileResult } from "../../contract/files.ts";
import { typeInputs } from "../../contract/flow-inputs.ts";
import { rowIndex, type NestedFlow, type PlannedNode } from "../../contract/flow-run.ts";
import { enclosableKinds } from "../../contract/flows.ts";
import { isTerminal } from "../../contract/outcomes.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import type { RunSpec } from "../../contract/run-spec.ts";
import { requestCancel } from "../cancel-run.ts";
import type { CallToAdd, JobQueues } from "../job-queues.ts";
import type { Logger } from "../logger.ts";
import { liveFields, type LiveRun, type RunHash } from "../run-hash.ts";
import type { CallCost } from "./call-groups.ts";
import { childRunId } from "./child-run-id.ts";
import { FlowState, type EndedNode, type FlowAbout } from "./flow-state.ts";
import { endOfRun, flowSpec } from "./flow-spec.ts";
import { expandTemplate } from "./expressions.ts";
import { childSpec, execSpec, inputsOf } from "./node-spec.ts";
import { valueOf, type NodeWork } from "./node-work.ts";

/** What a flow needs of the store. */
export interface FlowStore {
  readonly files: {
    record(runId: string, epoch: number, results: readonly FileResult[]): Promise<readonly { path: string }[]>;
  };
  readonly runs: {
    create(run: { id: string; spec: RunSpec; createdAtMs: number }): Promise<{ run: RunRecord; created: boolean }>;
    reopen(id: string, spec: RunSpec, atMs: number): Promise<RunRecord | undefined>;
  };
}

export interface AdvanceDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly store: FlowStore;
  readonly queues: JobQueues;
  readonly hash: RunHash;
  readonly logger: Logger;
  nowMs(): number;
  /** What a call is expected to take: short ones go together. Without it each goes alone. */
  readonly costOf?: (run: LiveRun, call: CallToAdd) => CallCost;
  /** What an input is. */
  inputKind(path: string): "file" | "folder";
}

/** A person has so long to answer when the node says nothing. */
const GATE_MS = 86_400_000;

export class NodeStarter {
  readonly #deps: AdvanceDeps;
  readonly #run: LiveRun;
  readonly #state: FlowState;

  constructor(deps: AdvanceDeps, run: LiveRun, state: FlowState) {
    this.#deps = deps;
    this.#run = run;
    this.#state = state;
  }

  /** Starts a node or an instance: the call that is to be added for it, if it is one; its end, if its run had ended already. */
  async start(planned: PlannedNode, work: NodeWork): Promise<CallToAdd | EndedNode | undefined> {
    const { node, path } = work;
    if (node.sandbox !== undefined && node.sandbox !== "none" && !enclosableKinds.has(node.kind)) {
      const expected = `a node of the kind ${[...enclosableKinds].join(", ")}: only processes can be shut in`;
      throw new PolicyError([{ where: `${path}.sandbox`, expected, found: node.kind }]);
    }
    switch (node.kind) {
      case "exec":
      case "agent":
        return { path, index: rowIndex(planned.index, path), spec: execSpec(work) };
      case "files":
      case "infer":
        return this.#startRun(
          path,
          childSpec(work, (input) => this.#deps.inputKind(input)),
        );
      case "gate":
        await this.#state.setMessage(path, valueOf(expandTemplate(node.message, work.scope), "message"));
        await this.#openGate(path, node.timeout_seconds === undefined ? GATE_MS : node.timeout_seconds * 1_000);
        return undefined;
      case "flow":
        return this.#startFlow(planned, work);
    }
  }

  /** Asks a person. Whoever answered, or cancelled it, before it was there found nothing to bring forward. */
  async #openGate(path: string, waitMs: number): Promise<void> {
    const { runId, epoch, spec } = this.#run;
    const ref = { runId, epoch, traceId: spec.traceId ?? runId };
    await this.#deps.queues.addFork(ref, spec, { path, step: "gate" }, Math.ceil(waitMs));
    const [answer, ends] = await Promise.all([this.#state.answerAt(path), this.#state.ends([path])]);
    if (answer !== undefined || ends.size > 0) await this.#deps.queues.promoteFork(ref, path);
  }

  async #startFlow(planned: PlannedNode, work: NodeWork): Promise<EndedNode | undefined> {
    const { nested, node } = planned;
    if (nested === undefined || node.kind !== "flow") throw new TypeError(`expected the flow of node ${work.path}`);
    const { name, env, failFast, planSha256, outputs, nodes } = nested;
    const limitMs = Math.min(nested.timeoutMs ?? Infinity, Math.ceil((node.timeout_seconds ?? Infinity) * 1_000));
    const folder = join(work.about.folder, "flows", work.path);
    const inputs = typedInputs(nested, inputsOf(work));
    const { fresh: above, isNoop, isOffline, task, mostStarts, profiles, base, binaries, agents } = work.about;
    // What is run anew is run anew to its last part.
    const fresh = above.includes(node.id) ? nodes.map((one) => one.node.id) : [];
    const shared = { base, binaries, agents, task, folder, inputs, fresh, outputs };
    const more = {
      ...(limitMs < Infinity && { timeoutMs: limitMs }),
      ...(profiles !== undefined && { profiles }),
      ...(isNoop && { isNoop }),
      ...(mostStarts !== undefined && { mostStarts }),
      // What has no network cannot hand it on.
      ...((isOffline === true || node.network === false) && { isOffline: true }),
    };
    const about: FlowAbout = { name, env, failFast, planSha256, ...shared, ...more };
    const spec = flowSpec(about, { ...this.#parentOf(work.path), nodes: nodes.length });
    return this.#startRun(work.path, spec, { about, nodes });
  }

  #parentOf(path: string): Pick<RunSpec, "parent" | "traceId"> {
    const { runId, epoch, spec } = this.#run;
    return { parent: { runId, epoch, path }, traceId: spec.traceId };
  }

  /** Makes the run of a node, or begins it anew in a later epoch, and adds its jobs below this flow's root. */
  async #startRun(path: string, spec: RunSpec, flow?: NestedState): Promise<EndedNode | undefined> {
    const { store, queues, redis, kp } = this.#deps;
    if (await this.#hasEnded(path)) return undefined;
    const id = childRunId(this.#run.runId, path);
    const nowMs = this.#deps.nowMs();
    const { run: found, created } = await store.runs.create({ id, spec, createdAtMs: nowMs });
    const isOlder = !created && found.spec.parent?.epoch !== this.#run.epoch;
    const run = isOlder ? ((await store.runs.reopen(id, spec, nowMs)) ?? found) : found;
    await this.#state.setRun(path, id);
    const ref = { runId: id, epoch: run.epoch, traceId: spec.traceId ?? id };
    // It has ended, and its worker was lost before it could say so.
    if (isTerminal(run.state)) return { path, end: endOfRun(run) };
    if (flow !== undefined) {
      const state = new FlowState(redis, kp, ref);
      if (!(await state.isThere())) await state.create(flow.about, flow.nodes);
    }
    if (!(await queues.hasRoot(ref))) {
      const live = liveFields({ spec, epoch: run.epoch, state: "queued", createdAtMs: run.createdAtMs });
      const known = flow === undefined ? {} : { total: flow.nodes.length, scanned: "1" };
      await queues.addRun(ref, spec, "scan", { ...live, ...known });
    }
    await this.#cancelMissed(path, id);
    return undefined;
  }

  /** A node of a fan-out may be cancelled with all others before its turn to start comes. */
  async #hasEnded(path: string): Promise<boolean> {
    return (await this.#state.ends([path])).size > 0;
  }

  /** A cancel while the run was made did not find it. */
  async #cancelMissed(path: string, childId: string): Promise<void> {
    const isCancelling = (await this.#deps.hash.state(this.#run.runId)) === "cancelling";
    if (isCancelling || (await this.#hasEnded(path)))
      await requestCancel(this.#deps, childId, "its flow was cancelled");
  }
}

/** @throws {InvalidInputError} naming the inputs that are given a value of another type */
function typedInputs(
  { inputs, inputTypes }: NestedFlow,
  given: Readonly<Record<string, unknown>>,
): FlowAbout["inputs"] {
  const all = { ...inputs, ...given };
  if (inputTypes === undefined) return all;
  const typed = typeInputs(inputTypes, all);
  if (typed.kind === "valid") return typed.values;
  throw new InvalidInputError(
    "node",
    typed.faults.map((fault) => ({ ...fault, where: `inputs.${fault.where}` })),
  );
}

interface NestedState {
  readonly about: FlowAbout;
  readonly nodes: readonly PlannedNode[];
}
