/**
 * Takes out what ended runs have left in Redis: jobs that wait though their run has ended or is gone, and hashes that say
 * that a run goes on which the store knows to have ended. A part of each at a time, over and over: the price of a round
 * does not grow with what there is.
 */
import type { Job } from "bullmq";
import { isTerminal, type RunState } from "../contract/outcomes.ts";
import { jobIds, keys, placeOfJobId } from "../contract/queues.ts";
import { noFiles, type RunRecord } from "../contract/run-record.ts";
import { reportPlace } from "../platform/job-queues.ts";
import { isRemoved } from "./remove-job.ts";
import type { RepairDeps } from "./repair.ts";

/** Where jobs wait; those that run are their workers' business. */
const states = ["wait", "prioritized", "delayed", "waiting-children"] as const;
const JOBS_PER_ROUND = 500;
const PAGE = 100;
const KEYS_PER_ROUND = 1_000;
/** A run that the store does not know yet may be about to be written down. */
const GRACE_MS = 60_000;

/** Looks for jobs of runs that have ended. */
export class LeftoverJobs {
  #lane = 0;
  #offset = 0;

  /** Looks at the next part; how many jobs were taken out. */
  async round(deps: RepairDeps): Promise<number> {
    const places = await deps.queues.list();
    const lanes = places.flatMap(({ name }) => states.map((state) => ({ name, state })));
    let removed = 0;
    for (let seen = 0, turns = 0; seen < JOBS_PER_ROUND && turns <= lanes.length;) {
      const lane = lanes[this.#lane % Math.max(1, lanes.length)];
      if (lane === undefined) break;
      const ids = await deps.queues
        .queue(lane.name)
        .getRanges([lane.state], this.#offset, this.#offset + PAGE - 1, true);
      const gone = await removeEnded(deps, lane.name, ids);
      removed += gone;
      seen += ids.length;
      // What was taken out makes room for those behind it.
      this.#offset += ids.length - gone;
      if (ids.length === PAGE) continue;
      this.#lane = (this.#lane + 1) % lanes.length;
      this.#offset = 0;
      turns += 1;
    }
    return removed;
  }
}

async function removeEnded(deps: RepairDeps, queue: string, ids: readonly string[]): Promise<number> {
  const hasEnded = new Map<string, boolean>();
  let removed = 0;
  for (const id of ids) {
    const place = placeOfJobId(id);
    if (place === undefined) continue;
    const run = `${place.runId}.${place.epoch}`;
    if (!hasEnded.has(run)) hasEnded.set(run, await isOver(deps, place));
    if (hasEnded.get(run) !== true) continue;
    deps.term.require();
    const job = (await deps.queues.queue(queue).getJob(id)) as Job | undefined;
    if (job === undefined || !(await isRemoved(job))) continue;
    await deps.redis.del(keys.inflight(deps.kp, id));
    deps.metrics.counter("headroom_repairs_total").inc({ repair: "leftover-job" });
    deps.logger.warn({ jobId: id, queue, runId: place.runId }, "job of a run that has ended taken out");
    removed += 1;
  }
  return removed;
}

/** Whether this epoch of the run has ended, or nobody knows of it. */
async function isOver(
  { hash, store }: RepairDeps,
  { runId, epoch }: { readonly runId: string; readonly epoch: number },
): Promise<boolean> {
  const known = (await hash.stage(runId)) ?? (await store.runs.get(runId));
  return known === undefined || known.epoch > epoch || (known.epoch === epoch && isTerminal(known.state));
}

/** Looks for hashes of runs that have ended without it. */
export class LeftoverHashes {
  #cursor = "0";

  /** Looks at the next part; how many were ended. */
  async round(deps: RepairDeps): Promise<number> {
    const pattern = keys.run(deps.kp, "*");
    const [next, found] = await deps.redis.scan(this.#cursor, "MATCH", pattern, "COUNT", KEYS_PER_ROUND);
    this.#cursor = next;
    let ended = 0;
    for (const key of found) ended += Number(await endHash(deps, key.slice(pattern.length - 1)));
    return ended;
  }
}

/** The end of a run whose hash says that it goes on; undefined when it does, or may. */
async function findEnd(deps: RepairDeps, runId: string): Promise<RunEnd | undefined> {
  const stage = await deps.hash.stage(runId);
  if (stage === undefined || isTerminal(stage.state)) return undefined;
  const run = await deps.store.runs.get(runId);
  if (run !== undefined && (run.epoch !== stage.epoch || !isTerminal(run.state))) return undefined;
  // A root ends its run itself, and writes down one that nobody has.
  const root = await deps.queues.queue(reportPlace.name).getJob(jobIds.report(runId, stage.epoch));
  if (root !== undefined) return undefined;
  if (run !== undefined) return endOf(deps, run);
  const createdAtMs = Number((await deps.redis.hget(keys.run(deps.kp, runId), "createdAtMs")) ?? 0);
  return deps.clock.nowMs() - createdAtMs < GRACE_MS ? undefined : endOf(deps, run);
}

async function endHash(deps: RepairDeps, runId: string): Promise<boolean> {
  const end = await findEnd(deps, runId);
  if (end === undefined) return false;
  deps.term.require();
  if (!(await deps.hash.move(runId, ["queued", "running", "cancelling"], end.state, end.fields))) return false;
  deps.metrics.counter("headroom_repairs_total").inc({ repair: "leftover-hash" });
  deps.logger.warn({ runId, state: end.state }, "live side of a run that has ended was left behind, ended");
  return true;
}

interface RunEnd {
  readonly state: RunState;
  readonly fields: Readonly<Record<string, string | number>>;
}

function endOf({ clock }: RepairDeps, run: RunRecord | undefined): RunEnd {
  if (run === undefined) {
    const message = "its jobs are gone and it was never recorded";
    return { state: "broken", fields: { message, endedAtMs: clock.nowMs() } };
  }
  const { total, succeeded, failed, skipped, cancelled, quarantined } = run.counts ?? noFiles;
  const counts = { total, succeeded, failed, skipped, cancelled, quarantined };
  return { state: run.state, fields: { ...counts, endedAtMs: run.endedAtMs ?? clock.nowMs() } };
}
