/**
 * Reads how far the nodes of a flow are. While it goes on, and for a day after, that is in its state in Redis; later in its
 * rows alone, which are looked at once then.
 */
import type { Redis } from "ioredis";
import { NotFoundError } from "../../contract/errors.ts";
import type { FileResult } from "../../contract/files.ts";
import type { CheckedFlow } from "../../contract/flow-check.ts";
import { worseOutcome } from "../../contract/flow-report.ts";
import { parseNodePath, type NodeEnd, type PlannedNode } from "../../contract/flow-run.ts";
import type { FlowView, NodeState, NodeView } from "../../contract/flow-view.ts";
import type { FlowNode } from "../../contract/flows.ts";
import { isTerminal, type Outcome } from "../../contract/outcomes.ts";
import { callOfJobId } from "../../contract/queues.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import type { WorkerHeartbeat } from "../../contract/status.ts";
import { FlowState } from "./flow-state.ts";
import { loadStoredFlow, nestedOf } from "./stored-flow.ts";

/** What is asked of the store. */
export interface FlowViewStore {
  readonly runs: { get(id: string): Promise<RunRecord | undefined> };
  readonly inputs: { pages(runId: string): AsyncIterable<readonly string[]> };
  readonly files: {
    get(runId: string, paths: readonly string[]): Promise<readonly (FileResult & { readonly epoch: number })[]>;
    all(runId: string, epoch: number): AsyncIterable<FileResult>;
  };
}

export interface FlowViewDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly store: FlowViewStore;
}

/** The run, as far as a view needs it. */
export type FlowRun = Pick<RunRecord, "id" | "epoch" | "state" | "spec">;

/** The flow of a run with the state of each node. `workers` say what runs. @throws {NotFoundError} when it is no flow */
export async function loadFlowView(
  deps: FlowViewDeps,
  run: FlowRun,
  workers: readonly WorkerHeartbeat[],
): Promise<FlowView> {
  const nodes = await loadNodes(deps, run);
  const facts = await loadFacts(deps, run, nodes);
  const running = runningNodes(workers, run);
  return {
    ...{ runId: run.id, epoch: run.epoch, state: run.state },
    name: run.spec.name ?? "",
    planSha256: run.spec.flow?.planSha256 ?? "",
    nodes: nodes.map((planned) => viewOf(planned, facts, running)),
  };
}

/** One node, or one instance of a fan-out. @throws {NotFoundError} */
export async function loadNodeView(
  deps: FlowViewDeps,
  { run, path }: { readonly run: FlowRun; readonly path: string },
  workers: readonly WorkerHeartbeat[],
): Promise<{ readonly view: NodeView; readonly node: FlowNode; readonly end: NodeEnd | undefined }> {
  const { id, instance } = parseNodePath(path);
  const nodes = await loadNodes(deps, run);
  const planned = nodes.find(({ node }) => node.id === id);
  const facts = planned === undefined ? undefined : await loadFacts(deps, run, [planned, ...neededBy(planned, nodes)]);
  if (planned === undefined || facts === undefined) throw new NotFoundError("node", `${run.id} ${path}`);
  const { node } = planned;
  const running = runningNodes(workers, run);
  const group = viewOf(planned, facts, running);
  if (instance === undefined) return { view: group, node, end: facts.ends.get(id) };
  const total = group.instances?.total ?? 0;
  if (node.foreach === undefined || !Number.isInteger(instance) || instance < 0 || instance >= total)
    throw new NotFoundError("node", `${run.id} ${path}`);
  return {
    ...(await loadInstance(deps, run, { group, path, isHeld: running.has(`${planned.index}/${instance}`) })),
    node,
  };
}

interface Facts {
  readonly ends: ReadonlyMap<string, NodeEnd>;
  readonly groups: ReadonlyMap<string, { readonly total: number; readonly ended: number }>;
  readonly runs: ReadonlyMap<string, string>;
  readonly rows: ReadonlyMap<string, Span>;
}

/** The nodes in the order of the flow file. */
async function loadNodes(deps: FlowViewDeps, run: FlowRun): Promise<readonly PlannedNode[]> {
  if (run.spec.executor !== "flow") throw new NotFoundError("flow", run.id);
  const state = stateOf(deps, run);
  if (await state.isThere()) return state.allNodes();
  return nestedOf(await loadFlowOf(deps.store, run)).nodes.toSorted((a, b) => a.index - b.index);
}

/**
 * The flow of a run. One within another flow has no plan of its own in the store: it is a part of the one around it.
 * @throws {NotFoundError} when the run is no flow
 */
export async function loadFlowOf(store: Pick<FlowViewStore, "runs" | "inputs">, run: FlowRun): Promise<CheckedFlow> {
  if (run.spec.executor !== "flow") throw new NotFoundError("flow", run.id);
  const { parent } = run.spec;
  if (parent === undefined) return (await loadStoredFlow(store.inputs.pages(run.id), run.id)).flow;
  const around = await store.runs.get(parent.runId);
  if (around === undefined) throw new NotFoundError("run", parent.runId);
  const nested = (await loadFlowOf(store, around)).nested.get(parseNodePath(parent.path).id);
  if (nested === undefined) throw new NotFoundError("flow", run.id);
  return nested;
}

function neededBy({ node }: PlannedNode, nodes: readonly PlannedNode[]): PlannedNode[] {
  const needs = new Set(node.needs.map((edge) => edge.node));
  return nodes.filter((one) => needs.has(one.node.id));
}

function stateOf({ redis, kp }: FlowViewDeps, { id, epoch }: FlowRun): FlowState {
  return new FlowState(redis, kp, { runId: id, epoch });
}

async function loadFacts(deps: FlowViewDeps, run: FlowRun, nodes: readonly PlannedNode[]): Promise<Facts> {
  const state = stateOf(deps, run);
  const ids = nodes.map(({ node }) => node.id);
  if (!(await state.isThere())) return rowFacts(deps.store.files.all(run.id, run.epoch), new Set(ids));
  const fans = nodes.filter(({ node }) => node.foreach !== undefined).map(({ node }) => node.id);
  const [ends, groups, runs, rows] = await Promise.all([
    state.ends(ids),
    state.groups(fans),
    state.runsOf(ids),
    deps.store.files.get(run.id, ids),
  ]);
  const own = rows.filter((row) => row.epoch === run.epoch);
  return { ends, groups, runs, rows: new Map(own.map((row) => [row.path, row])) };
}

/** What the rows say of these nodes. The span of a fan-out is that of its instances. */
async function rowFacts(all: AsyncIterable<FileResult>, ids: ReadonlySet<string>): Promise<Facts> {
  const ends = new Map<string, NodeEnd>();
  const groups = new Map<string, { total: number; ended: number }>();
  const rows = new Map<string, { startedAtMs: number | null; durationMs: number | null }>();
  for await (const row of all) {
    const { id, instance } = parseNodePath(row.path);
    if (!ids.has(id)) continue;
    const before = ends.get(id);
    if (before?.outcome !== worseOutcome(before?.outcome, row.outcome)) ends.set(id, endOf(row));
    rows.set(id, joined(rows.get(id), row));
    if (instance === undefined) continue;
    const count = (groups.get(id)?.total ?? 0) + 1;
    groups.set(id, { total: count, ended: count });
  }
  return { ends, groups, runs: new Map(), rows };
}

function endOf({ outcome, failureClass, message, exitCode, outputSha256 }: FileResult): NodeEnd {
  return { outcome, failureClass, message, exitCode, output: null, sha256: outputSha256 };
}

function joined(
  before: { readonly startedAtMs: number | null; readonly durationMs: number | null } | undefined,
  { startedAtMs, durationMs }: FileResult,
): { startedAtMs: number | null; durationMs: number | null } {
  if (before?.startedAtMs == null || startedAtMs === null) {
    return startedAtMs === null && before !== undefined ? before : { startedAtMs, durationMs };
  }
  const from = Math.min(before.startedAtMs, startedAtMs);
  const to = Math.max(before.startedAtMs + (before.durationMs ?? 0), startedAtMs + (durationMs ?? 0));
  return { startedAtMs: from, durationMs: to - from };
}

/** The places of nodes, and of instances, whose calls workers hold now. */
function runningNodes(workers: readonly WorkerHeartbeat[], { id, epoch }: FlowRun): Set<string> {
  const held = new Set<string>();
  for (const { running } of workers) {
    for (const { jobId, runId } of running) {
      const call = runId === id ? callOfJobId(jobId) : undefined;
      if (call?.epoch !== epoch) continue;
      held.add(String(call.index));
      if (call.instance !== undefined) held.add(`${call.index}/${call.instance}`);
    }
  }
  return held;
}

function viewOf({ node, index }: PlannedNode, facts: Facts, running: ReadonlySet<string>): NodeView {
  const childRunId = facts.runs.get(node.id) ?? null;
  const isReady = node.needs.every((need) => facts.ends.has(need.node));
  const open = openState(node, { isReady, isHeld: childRunId !== null || running.has(String(index)) });
  return {
    ...{ path: node.id, kind: node.kind, needs: node.needs, childRunId },
    ...progressOf(facts.ends.get(node.id), facts.rows.get(node.id), open),
    instances: facts.groups.get(node.id) ?? null,
  };
}

type Span = Pick<FileResult, "startedAtMs" | "durationMs">;

/** How far something is that has this end and this row, or is open in this way. */
function progressOf(
  end: NodeEnd | undefined,
  row: Span | undefined,
  open: NodeState,
): Pick<NodeView, "state" | "failureClass" | "message" | "startedAtMs" | "durationMs"> {
  const { outcome: state, failureClass, message } = end ?? { outcome: open, failureClass: null, message: null };
  const { startedAtMs, durationMs } = row ?? { startedAtMs: null, durationMs: null };
  return { state, failureClass, message, startedAtMs, durationMs };
}

function openState(
  { kind }: Pick<FlowNode, "kind">,
  { isReady, isHeld }: { readonly isReady: boolean; readonly isHeld: boolean },
): Exclude<NodeState, Outcome> {
  if (!isReady) return "waiting";
  if (kind === "gate") return "asking";
  return isHeld ? "running" : "ready";
}

interface Instance {
  readonly group: NodeView;
  readonly path: string;
  readonly isHeld: boolean;
}

async function loadInstance(
  deps: FlowViewDeps,
  run: FlowRun,
  { group, path, isHeld }: Instance,
): Promise<{ readonly view: NodeView; readonly end: NodeEnd | undefined }> {
  const state = stateOf(deps, run);
  const [ends, runs, rows] = await Promise.all([
    state.ends([path]),
    state.runsOf([path]),
    deps.store.files.get(run.id, [path]),
  ]);
  const row = rows.find((one) => one.epoch === run.epoch);
  const end = ends.get(path) ?? (row !== undefined && isTerminal(run.state) ? endOf(row) : undefined);
  const childRunId = runs.get(path) ?? null;
  const open = openState(group, { isReady: true, isHeld: isHeld || childRunId !== null });
  const view: NodeView = { ...group, path, childRunId, instances: null, ...progressOf(end, row, open) };
  return { view, end };
}
