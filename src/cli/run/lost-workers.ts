/**
 * What workers of this data folder that were killed still hold. Their leases would run out by themselves; but here it is
 * known that their processes have ended, so nobody has to wait for that.
 */
import { keys } from "../../contract/queues.ts";
import { JobQueues } from "../../platform/job-queues.ts";
import { loadHeartbeats } from "../../platform/worker-heartbeats.ts";
import { parseToken } from "../../worker/lane-token.ts";
import { loadLiveWorkers, type Cluster } from "../cluster.ts";

/** Lets go of all jobs whose worker is no more, and of its heartbeat; how many jobs. For an embedded cluster only. */
export async function releaseLostJobs(cluster: Cluster): Promise<number> {
  const { redis, place } = cluster;
  const alive = new Set((await loadLiveWorkers(cluster)).map(({ workerId }) => workerId));
  for (const { workerId } of await loadHeartbeats(redis, place.kp)) {
    if (alive.has(workerId)) continue;
    await redis.multi().del(keys.worker(place.kp, workerId)).srem(keys.workers(place.kp), workerId).exec();
  }
  const queues = new JobQueues(redis, place.kp);
  let released = 0;
  for (const { name } of await queues.list()) {
    const queue = `${place.kp}:${name}`;
    for (const jobId of await redis.lrange(`${queue}:active`, 0, -1)) {
      const lock = `${queue}:${jobId}:lock`;
      const token = (await redis.get(lock)) ?? "";
      if (alive.has(parseToken(token).workerId)) continue;
      const count = await redis.eval(RELEASE, 3, lock, `${queue}:stalled`, `${queue}:stalled-check`, token, jobId);
      released += Number(count);
    }
  }
  return released;
}

/**
 * Takes the lock of a job away from a holder that has ended, and names the job for the next check of BullMQ, which gives
 * it back to its queue, and has that check happen at once.
 * KEYS[1] lock. KEYS[2] set of jobs that the check looks at. KEYS[3] the mark of the last check. ARGV[1] token of the
 * holder, empty when there is no lock. ARGV[2] job id. Returns 1 when it let go, 0 when another one holds it by now.
 */
const RELEASE = `
if (redis.call("GET", KEYS[1]) or "") ~= ARGV[1] then return 0 end
redis.call("DEL", KEYS[1], KEYS[3])
redis.call("SADD", KEYS[2], ARGV[2])
return 1
`;
