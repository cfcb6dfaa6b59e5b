/** Asks for the end of a run: the one way in, whoever asks. */
import type { Redis } from "ioredis";
import { keys } from "../contract/queues.ts";
import type { RunHash } from "./run-hash.ts";

/** Moves the run to `cancelling` and tells all workers; false when it was not going on. */
export async function requestCancel(
  deps: { redis: Redis; hash: RunHash; kp: string },
  runId: string,
  reason: string,
): Promise<boolean> {
  const moved = await deps.hash.move(runId, ["queued", "running"], "cancelling", { message: reason });
  await deps.redis.publish(keys.control(deps.kp), JSON.stringify({ kind: "cancel", runId }));
  return moved;
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
