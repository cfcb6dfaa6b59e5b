/**
 * Takes what waits of a cancelled run out of its queues, so that a cancel ends even where no worker has room to claim:
 * the files' rows are written first, then the job is removed, which releases the root.
 */
import type { Job } from "bullmq";
import type { Redis } from "ioredis";
import { keys } from "../contract/queues.ts";
import { cancelledResult, type FileEntry } from "../contract/files.ts";
import { isChunkJob, jobs, type JobName } from "../contract/jobs.ts";
import type { Outcome } from "../contract/outcomes.ts";
import type { JobQueues } from "../platform/job-queues.ts";
import type { RunHash } from "../platform/run-hash.ts";
import type { Store } from "../store/store.ts";
import { isRemoved } from "./remove-job.ts";

export interface SweepDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly queues: JobQueues;
  readonly hash: RunHash;
  readonly store: Store;
}

const sweepable: ReadonlySet<string> = new Set(["waiting", "delayed", "prioritized"]);

/** Sweeps one run; the number of jobs taken out. Jobs that run are aborted by their workers. */
export async function sweepCancelled(deps: SweepDeps, runId: string): Promise<number> {
  // Without what the run is: that may be of a version that this one does not know.
  const live = await deps.hash.stage(runId);
  if (live?.state !== "cancelling") return 0;
  let swept = 0;
  for await (const open of deps.queues.openJobs({ runId, epoch: live.epoch })) {
    const job = (await deps.queues.queue(open.queue).getJob(open.id)) as Job | undefined;
    // The root of a run below writes that run's end down: nobody else does.
    if (job === undefined || job.name === ("report" satisfies JobName) || !(await isSweepable(deps, job, open)))
      continue;
    if (isChunkJob(job.name))
      await recordCancelled(deps, { runId, epoch: live.epoch }, jobs.exec.payload.parse(job.data).files);
    if (!(await isRemoved(job))) continue;
    // What a lost worker noted of it; the report clears the output folder.
    await deps.redis.del(keys.inflight(deps.kp, open.id));
    swept += 1;
  }
  return swept;
}

/** What waits, and what a lost worker held: its lock has run out, and BullMQ has found that nobody renews it. */
async function isSweepable({ redis, kp }: SweepDeps, job: Job, at: { queue: string; id: string }): Promise<boolean> {
  const state = await job.getState();
  if (state !== "active") return sweepable.has(state);
  const queue = `${kp}:${at.queue}`;
  const [isMarked, isLocked] = await Promise.all([
    redis.sismember(`${queue}:stalled`, at.id),
    redis.exists(`${queue}:${at.id}:lock`),
  ]);
  return isMarked === 1 && isLocked === 0;
}

async function recordCancelled(
  deps: SweepDeps,
  run: { runId: string; epoch: number },
  files: readonly FileEntry[],
): Promise<void> {
  const known = await deps.store.files.get(
    run.runId,
    files.map((file) => file.path),
  );
  const settled = new Set(known.filter((row) => row.epoch === run.epoch).map((row) => row.path));
  const timedOut = (await deps.hash.stage(run.runId))?.timedOut;
  const rows = files.filter((file) => !settled.has(file.path)).map((file) => cancelledResult(file, timedOut));
  await deps.store.files.record(run.runId, run.epoch, rows);
  await deps.hash.count(run, { ["cancelled" satisfies Outcome]: rows.length });
}
