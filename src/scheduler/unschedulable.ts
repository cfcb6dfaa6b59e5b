/** Ends runs whose jobs no worker can ever take (law 3): their need is larger than any live worker that may serve them. */
import type { Redis } from "ioredis";
import type { WorkerHeartbeat } from "../contract/status.ts";
import { requestCancel } from "../platform/cancel-run.ts";
import type { JobQueues } from "../platform/job-queues.ts";
import type { Logger } from "../platform/logger.ts";
import type { RunHash } from "../platform/run-hash.ts";
import { isAlive, loadHeartbeats } from "../platform/worker-heartbeats.ts";

export interface UnschedulableDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly queues: JobQueues;
  readonly hash: RunHash;
  readonly logger: Logger;
}

export interface HopelessQueue {
  readonly queue: string;
  readonly message: string;
}

/** A larger worker may be on its way: so long it is waited for. */
export const UNSCHEDULABLE_GRACE_MS = 20_000;
const JOBS_LOOKED_AT = 200;

/** Queues that every live worker which serves them has refused for good, for longer than the grace. */
export function findHopeless(workers: readonly WorkerHeartbeat[], nowMs: number): HopelessQueue[] {
  const byQueue = new Map<string, { message: string; have: number; isHopeless: boolean }>();
  for (const { workerId, waiting } of workers.filter((worker) => isAlive(worker, nowMs))) {
    for (const { queue, code, message: reason, sinceMs, have: most } of waiting) {
      const isRefused = code === "UNSCHEDULABLE" && sinceMs !== null && nowMs - sinceMs >= UNSCHEDULABLE_GRACE_MS;
      const known = byQueue.get(queue);
      const isHopeless = isRefused && (known?.isHopeless ?? true);
      const have = typeof most === "number" ? most : 0;
      // The one that takes most comes nearest.
      const nearest =
        known !== undefined && known.have >= have
          ? known
          : { message: `the nearest, worker ${workerId}: ${reason}`, have };
      byQueue.set(queue, { ...nearest, isHopeless });
    }
  }
  return [...byQueue].filter(([, { isHopeless }]) => isHopeless).map(([queue, { message }]) => ({ queue, message }));
}

/** Cancels the runs that wait in such queues; how many. */
export async function endUnschedulable(deps: UnschedulableDeps, nowMs: number): Promise<number> {
  let ended = 0;
  for (const { queue, message } of findHopeless(await loadHeartbeats(deps.redis, deps.kp), nowMs)) {
    const jobs = await deps.queues.queue(queue).getJobs(["waiting", "prioritized"], 0, JOBS_LOOKED_AT - 1);
    for (const runId of new Set(jobs.map((job) => (job.data as { runId: string }).runId))) {
      deps.logger.error({ runId, queue, message }, "no worker can ever take the jobs of this run, ending it");
      if (await requestCancel(deps, runId, `no worker can take its jobs; ${message}`)) ended += 1;
    }
  }
  return ended;
}
