/** Carries a cancelled run to its end when no worker is there that would. */
import { InfrastructureError } from "../../contract/errors.ts";
import { isTerminal } from "../../contract/outcomes.ts";
import type { RunStatus } from "../../contract/status.ts";
import { loadLiveWorkers, type Cluster } from "../cluster.ts";
import { LocalWorker } from "./local-worker.ts";

const END_MS = 60_000;
/** Short: what a killed worker held is looked for at every half of it. */
const LOCK_MS = 2_000;

/** Whether nobody is there who would end a run. */
export async function isAlone(cluster: Cluster): Promise<boolean> {
  return (await loadLiveWorkers(cluster)).length === 0;
}

/**
 * Cancels the run and ends it: its jobs are taken out, its report is written, its output folder is given back. Jobs of
 * other runs are left as they are: they are gone on with by who asks for that.
 * @throws {InfrastructureError} when it has not ended in time
 */
export async function cancelAlone(cluster: Cluster, runId: string, reason: string): Promise<RunStatus> {
  const worker = new LocalWorker(cluster, { jobNames: ["report"], lockMs: LOCK_MS });
  try {
    await worker.ensure();
    await cluster.client.cancel(runId, reason);
    const status = await cluster.client.wait(runId, AbortSignal.timeout(END_MS));
    if (isTerminal(status.state)) return status;
    throw new InfrastructureError(
      `expected run ${runId} to end within ${END_MS / 1_000} s of its cancel, found it ${status.state}`,
    );
  } finally {
    await worker.stop(true);
  }
}

/** Cancels the run: its workers end it, or this process does when there are none. */
export async function cancelByAnyone(cluster: Cluster, runId: string, reason: string): Promise<void> {
  if (await isAlone(cluster)) await cancelAlone(cluster, runId, reason);
  else await cluster.client.cancel(runId, reason);
}
