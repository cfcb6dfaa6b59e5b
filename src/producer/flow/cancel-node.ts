/** Ends one node of a flow that goes on, or one instance of a fan-out, or a fan-out with all its instances. */
import { ConflictError, NotFoundError } from "../../contract/errors.ts";
import { nodePath, parseNodePath, unrunEnd, type NodeEnd } from "../../contract/flow-run.ts";
import type { FlowNode } from "../../contract/flows.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import { requestCancel } from "../../platform/cancel-run.ts";
import type { Clock } from "../../platform/clock.ts";
import { publishControl } from "../../platform/control.ts";
import { FlowAdvance } from "../../platform/flow/advance.ts";
import type { AdvanceDeps } from "../../platform/flow/node-start.ts";

/** As many as a message of the bus may have. */
const PATHS_AT_ONCE = 1_000;

interface CancelDeps extends Omit<AdvanceDeps, "nowMs" | "inputKind"> {
  readonly clock: Clock;
}

interface NodeCancel {
  readonly run: RunRecord;
  readonly path: string;
  readonly reason: string;
}

/** @throws {ConflictError} when it has ended @throws {NotFoundError} when there is no such node, or no such instance yet */
export async function cancelNode(deps: CancelDeps, { run, path, reason }: NodeCancel): Promise<void> {
  const flow = flowOf(deps, run);
  const { id, instance } = parseNodePath(path);
  const node = (await flow.state.nodes([id])).get(id)?.node;
  const items = node?.foreach === undefined ? undefined : await flow.state.items(id);
  if (node === undefined || !isThere(node, instance, items?.length)) {
    throw new NotFoundError("node", `${run.id} ${path}`);
  }
  const end = (await flow.state.ends([path])).get(path);
  if (end !== undefined) throw new ConflictError(`node ${path}: expected it to go on, it ended ${end.outcome}`);
  const cancelled = unrunEnd("cancelled", reason, "cancelled");
  const isGroup = node.foreach !== undefined && instance === undefined;
  const ended = isGroup ? await endGroup(flow, id, cancelled) : [path];
  if (!isGroup) await flow.endWithRow({ path, end: cancelled });
  await endWork(deps, { flow, run, kind: node.kind, paths: ended, reason });
}

function flowOf({ clock, ...deps }: CancelDeps, run: RunRecord): FlowAdvance {
  const live = { runId: run.id, epoch: run.epoch, spec: run.spec, state: run.state, createdAtMs: run.createdAtMs };
  return new FlowAdvance({ ...deps, nowMs: () => clock.nowMs(), inputKind: () => "folder" }, live);
}

/** Whether there is such a place; the instances of a fan-out are there once its entries are known. */
function isThere({ foreach }: FlowNode, instance: number | undefined, items = 0): boolean {
  if (instance === undefined) return true;
  return foreach !== undefined && Number.isInteger(instance) && instance >= 0 && instance < items;
}

/** Ends a fan-out, whatever its instances have come to so far; those that it has ended. */
async function endGroup(flow: FlowAdvance, id: string, end: NodeEnd): Promise<string[]> {
  const items = await flow.state.closeGroup(id);
  if (items.length === 0) {
    await flow.endWithRow({ path: id, end });
    return [];
  }
  const paths = items.map((_, at) => nodePath(id, at));
  const ends = await flow.state.ends(paths);
  const open = paths.filter((path) => !ends.has(path));
  await flow.endGroup({ path: id, end }, open, items.length);
  return open;
}

interface Work {
  readonly flow: FlowAdvance;
  readonly run: RunRecord;
  readonly kind: FlowNode["kind"];
  readonly paths: readonly string[];
  readonly reason: string;
}

/** Ends what does the work of nodes whose ends are written. */
async function endWork(deps: CancelDeps, { flow, run, kind, paths, reason }: Work): Promise<void> {
  const { redis, kp, hash, queues } = deps;
  for (let at = 0; at < paths.length; at += PATHS_AT_ONCE) {
    const some = paths.slice(at, at + PATHS_AT_ONCE);
    await publishControl(redis, kp, { kind: "cancel-nodes", runId: run.id, paths: some });
  }
  if (kind === "gate") for (const path of paths) await queues.promoteFork({ runId: run.id, epoch: run.epoch }, path);
  for (const child of (await flow.state.runsOf(paths)).values())
    await requestCancel({ redis, kp, hash }, child, reason);
}
