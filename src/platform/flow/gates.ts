/** Gates of flows: which wait for an answer, and how one is given. */
import { ConflictError, NotFoundError } from "../../contract/errors.ts";
import { nodePath, parseNodePath } from "../../contract/flow-run.ts";
import type { JobQueues } from "../job-queues.ts";
import { FlowState, type FlowRef, type GateAnswer } from "./flow-state.ts";
import type { Redis } from "ioredis";

/** A gate that waits for an answer. */
export interface WaitingGate {
  readonly path: string;
  /** What is asked there, with what is known by then. */
  readonly message: string;
}

interface GateDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly queues: JobQueues;
}

/** The gates of a flow that wait for an answer now. */
export async function waitingGates(state: FlowState): Promise<WaitingGate[]> {
  const gates: WaitingGate[] = [];
  for (const { node } of await state.allNodes()) {
    if (node.kind !== "gate") continue;
    const items = node.foreach === undefined ? undefined : await state.items(node.id);
    // A fan-out that is not opened yet has no gates to answer.
    if (node.foreach !== undefined && items === undefined) continue;
    const paths = items === undefined ? [node.id] : items.map((_, at) => nodePath(node.id, at));
    const [ends, needs] = await Promise.all([state.ends(paths), state.ends(node.needs.map((edge) => edge.node))]);
    if (needs.size < new Set(node.needs.map((edge) => edge.node)).size) continue;
    const messages = await state.messagesOf(paths);
    // One that is about to be opened has none yet, and so has one that an older worker has opened.
    for (const path of paths) if (!ends.has(path)) gates.push({ path, message: messages.get(path) ?? node.message });
  }
  return gates;
}

/** Gives the answer of a person at a gate. @throws {ConflictError} when nothing waits for it there {NotFoundError} */
export async function answerGate(
  { redis, kp, queues }: GateDeps,
  { runId, epoch }: FlowRef,
  path: string,
  answer: GateAnswer,
): Promise<void> {
  const state = new FlowState(redis, kp, { runId, epoch });
  const { id, instance } = parseNodePath(path);
  const node = (await state.nodes([id])).get(id)?.node;
  if (node?.kind !== "gate" || !(await isPlace(state, node, instance)))
    throw new NotFoundError("node", `${runId} ${path}`);
  const end = (await state.ends([path])).get(path);
  if (end !== undefined)
    throw new ConflictError(`gate ${path}: expected it to wait for an answer, it ended ${end.outcome}`);
  if (!(await state.answer(path, answer))) throw new ConflictError(`gate ${path}: has an answer already`);
  // Given before the gate is reached, the answer is there when it is.
  await queues.promoteFork({ runId, epoch }, path);
}

/** Whether an answer given there would ever be read: a gate itself, or one that a fan-out has, or may come to have. */
async function isPlace(
  state: FlowState,
  { id, foreach }: { readonly id: string; readonly foreach?: unknown },
  instance: number | undefined,
): Promise<boolean> {
  if (foreach === undefined || instance === undefined) return (foreach === undefined) === (instance === undefined);
  const items = await state.items(id);
  return Number.isInteger(instance) && instance >= 0 && (items === undefined || instance < items.length);
}
