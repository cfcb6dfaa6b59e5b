/**
 * Mends runs whose jobs are not where their state says: a producer that died between writing a run and adding its jobs, a
 * Redis that lost what it had acknowledged, a worker that ended the last chunk but not the run.
 */
import type { Redis } from "ioredis";
import { isTerminal } from "../contract/outcomes.ts";
import { jobIds, keys } from "../contract/queues.ts";
import type { RunRecord } from "../contract/run-record.ts";
import type { Clock } from "../platform/clock.ts";
import { reportPlace, scanPlace, type JobQueues } from "../platform/job-queues.ts";
import type { Logger } from "../platform/logger.ts";
import type { RunHash } from "../platform/run-hash.ts";
import type { Store } from "../store/store.ts";
import { sweepCancelled } from "./sweep.ts";

export interface RepairDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly store: Store;
  readonly queues: JobQueues;
  readonly hash: RunHash;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A run without jobs is left alone for this long: its producer may be about to add them. */
const GRACE_MS = 10_000;
const OPEN_RUNS = 1_000;

export type Repair = "none" | "requeue" | "settle" | "sweep";

/** What a run needs, from where it stands. */
export function decideRepair(
  run: Pick<RunRecord, "state">,
  facts: { ageMs: number; hasRoot: boolean; liveState: string | undefined },
): Repair {
  if (isTerminal(run.state)) return "none";
  if (facts.liveState === "cancelling") return facts.hasRoot ? "sweep" : "requeue";
  if (facts.hasRoot || facts.ageMs < GRACE_MS) return "none";
  // The live side says that it ended: the report was written to Redis last, so the store was told before.
  return facts.liveState !== undefined && isTerminal(facts.liveState as RunRecord["state"]) ? "settle" : "requeue";
}

/** Looks at every run that has not ended; the number of runs mended. */
export async function repairRuns(deps: RepairDeps): Promise<number> {
  let mended = 0;
  const open = await deps.store.runs.list({ limit: OPEN_RUNS, states: ["queued", "running", "cancelling"] });
  for (const run of open) {
    const job = await deps.queues.queue(reportPlace.name).getJob(jobIds.report(run.id, run.epoch));
    const liveState = await deps.hash.state(run.id);
    const hasRoot = job !== undefined && !(await hasEnded(job));
    const since = run.startedAtMs ?? run.createdAtMs;
    const repair = decideRepair(run, { ageMs: deps.clock.nowMs() - since, hasRoot, liveState });
    if (repair === "none") continue;
    await apply(deps, run, repair);
    mended += 1;
  }
  return mended;
}

async function hasEnded(job: { getState(): Promise<string> }): Promise<boolean> {
  const state = await job.getState();
  return state === "completed" || state === "failed" || state === "unknown";
}

async function apply(deps: RepairDeps, run: RunRecord, repair: Exclude<Repair, "none">): Promise<void> {
  if (repair === "sweep") {
    const swept = await sweepCancelled(deps, run.id);
    if (swept > 0) deps.logger.info({ runId: run.id, swept }, "waiting jobs of a cancelled run taken out");
    return;
  }
  deps.logger.warn({ runId: run.id, repair, state: run.state }, "run had no jobs, mending it");
  const id = jobIds.report(run.id, run.epoch);
  const ended = await deps.queues.queue(reportPlace.name).getJob(id);
  if (ended !== undefined) await ended.remove();
  const live = await deps.hash.load(run.id);
  if (live === undefined) await deps.hash.create({ ...run, runId: run.id });
  await deps.redis.persist(keys.run(deps.kp, run.id));
  const ref = { runId: run.id, epoch: run.epoch, traceId: run.spec.traceId ?? run.id };
  // A scan leaves out what has a row already, so adding one again is safe; a report alone writes the end down.
  // One that has ended would count as an ended child of the new root.
  await deps.queues.queue(scanPlace.name).remove(jobIds.scan(run.id, run.epoch));
  await deps.queues.addRun(ref, run.spec, repair === "settle" ? [] : "scan");
}
