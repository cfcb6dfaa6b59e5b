/** Asks for the end of a run: the one way in, whoever asks. */
import type { Redis } from "ioredis";
import { keys } from "../contract/queues.ts";
import { FlowState } from "./flow/flow-state.ts";
import type { LiveRun, RunHash } from "./run-hash.ts";

/** Moves the run to `cancelling`, and those that do the work of its nodes, and tells all workers; false when it was not going on. */
export async function requestCancel(
  deps: { redis: Redis; hash: RunHash; kp: string },
  runId: string,
  reason: string,
): Promise<boolean> {
  const moved = await deps.hash.move(runId, ["queued", "running"], "cancelling", { message: reason });
  await deps.redis.publish(keys.control(deps.kp), JSON.stringify({ kind: "cancel", runId }));
  const stage = await deps.hash.stage(runId);
  if (stage === undefined) return moved;
  const children = await new FlowState(deps.redis, deps.kp, { runId, epoch: stage.epoch }).runs();
  for (const child of children) await requestCancel(deps, child, reason);
  return moved;
}

/** Ends a flow whose time is over: it has failed then, and its nodes that have not ended say so, each with the class `timeout`. */
export async function endByTime(
  deps: { redis: Redis; hash: RunHash; kp: string },
  run: Pick<LiveRun, "runId" | "epoch">,
  reason: string,
): Promise<void> {
  await deps.hash.set(run, { timedOut: reason });
  await requestCancel(deps, run.runId, reason);
}

/** Ends a run that cannot be carried out: its report says why, and its files that have not ended are cancelled. */
export async function breakRun(
  deps: { redis: Redis; hash: RunHash; kp: string },
  runId: string,
  reason: string,
): Promise<void> {
  await deps.hash.set({ runId }, { broken: reason });
  await requestCancel(deps, runId, reason);
}
