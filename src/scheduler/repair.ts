/**
 * Mends runs whose jobs are not where their state says: a producer that died between writing a run and adding its jobs, a
 * Redis that lost what it had acknowledged, a worker that ended the last chunk but not the run. A part of the runs that
 * have not ended is looked at in each round, then the next part: the price of a round does not grow with their number.
 */
import type { Redis } from "ioredis";
import { isTerminal, type RunState } from "../contract/outcomes.ts";
import { jobIds, keys } from "../contract/queues.ts";
import type { OpenRun, RunRecord } from "../contract/run-record.ts";
import { assertNever } from "../platform/assert.ts";
import { requestCancel } from "../platform/cancel-run.ts";
import type { Clock } from "../platform/clock.ts";
import { FlowState } from "../platform/flow/flow-state.ts";
import { DEADLINE, forkPlace, reportPlace, type JobQueues } from "../platform/job-queues.ts";
import type { Logger } from "../platform/logger.ts";
import type { Metrics } from "../platform/metrics.ts";
import { liveFields, type RunHash } from "../platform/run-hash.ts";
import type { Store } from "../store/store.ts";
import { sweepCancelled } from "./sweep.ts";
import type { Term } from "./term.ts";

export interface RepairDeps {
  /** The connection of the term. */
  readonly redis: Redis;
  readonly kp: string;
  readonly store: Store;
  readonly queues: JobQueues;
  readonly hash: RunHash;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly term: Pick<Term, "require">;
}

/** A run without jobs is left alone for this long: its producer may be about to add them. */
const GRACE_MS = 10_000;
/** Of runs, and of the children that their roots wait for, in one round. */
const RUNS_PER_ROUND = 200;
const CHILDREN_PER_ROUND = 2_000;

/**
 * `requeue`: its root is gone, so it is added again. `settle`: so it is, but all that is left is to write the end down.
 * `restore`: its hash is gone. `release`: its root waits for its children; those that will not tell it of their end are
 * looked for. `sweep`: it is cancelled, and what waits of it is taken out. `cancel`: its cancel is in the store, and Redis has
 * lost it. `deadline`: it is a flow whose time nothing would end.
 */
export type Repair = "none" | "requeue" | "settle" | "restore" | "release" | "sweep" | "cancel" | "deadline";

export interface RunFacts {
  readonly ageMs: number;
  /** Where its root is, undefined when it is gone or has ended. */
  readonly rootState: string | undefined;
  /** The state that its hash says, undefined when that is gone. */
  readonly liveState: RunState | undefined;
  /** Of a flow that began and has a time limit: when that is over, if the step is gone that would end it. */
  readonly lostDeadlineMs?: number | undefined;
}

/** What a run needs, from where it stands. */
export function decideRepair(run: Pick<RunRecord, "state">, facts: RunFacts): Repair {
  if (isTerminal(run.state)) return "none";
  return facts.rootState === undefined ? decideRootless(facts) : decideRooted(run, facts);
}

function decideRootless({ ageMs, liveState }: RunFacts): Repair {
  if (liveState === "cancelling") return "requeue";
  if (ageMs < GRACE_MS) return "none";
  // The live side says that it ended: the report was written to Redis last, so the store was told before.
  return liveState !== undefined && isTerminal(liveState) ? "settle" : "requeue";
}

function decideRooted(run: Pick<RunRecord, "state">, { rootState, liveState, lostDeadlineMs }: RunFacts): Repair {
  if (liveState === undefined) return "restore";
  if (liveState === "cancelling") return "sweep";
  if (run.state === "cancelling" && !isTerminal(liveState)) return "cancel";
  if (liveState === "running" && lostDeadlineMs !== undefined) return "deadline";
  return rootState === "waiting-children" ? "release" : "none";
}

/** Looks at open runs, a part of them at a time. */
export class RunRepair {
  #afterId: string | undefined;

  /** Looks at the next part; the number of runs mended. */
  async round(deps: RepairDeps): Promise<number> {
    const after = this.#afterId === undefined ? {} : { afterId: this.#afterId };
    const runs = await deps.store.runs.open({ limit: RUNS_PER_ROUND, ...after });
    let mended = 0;
    let children = CHILDREN_PER_ROUND;
    this.#afterId = runs.length < RUNS_PER_ROUND ? undefined : runs.at(-1)?.id;
    for (const run of runs) {
      const done = await repairRun(deps, run, children);
      children -= done.seen;
      mended += Number(done.isMended);
      if (children > 0) continue;
      // The next round goes on behind this run.
      this.#afterId = run.id;
      break;
    }
    return mended;
  }
}

interface Done {
  readonly isMended: boolean;
  /** Children of the run that were looked at. */
  readonly seen: number;
}

async function repairRun(deps: RepairDeps, run: OpenRun, maxChildren: number): Promise<Done> {
  const facts = await loadFacts(deps, run);
  const repair = decideRepair(run, facts);
  if (repair === "none") return { isMended: false, seen: 0 };
  deps.term.require();
  const done = await apply(deps, run, { repair, maxChildren, deadlineMs: facts.lostDeadlineMs ?? 0 });
  if (done.isMended) {
    deps.metrics.counter("headroom_repairs_total").inc({ repair });
    deps.logger.warn({ runId: run.id, repair, state: run.state, ...facts }, "run was stuck, mended");
  }
  return done;
}

async function loadFacts(deps: RepairDeps, run: OpenRun): Promise<RunFacts> {
  const { queues, hash, clock } = deps;
  const root = await queues.queue(reportPlace.name).getJob(jobIds.report(run.id, run.epoch));
  const state = await root?.getState();
  const stage = await hash.stage(run.id);
  const hasEnded = state === "completed" || state === "failed" || state === "unknown";
  return {
    ageMs: clock.nowMs() - (run.startedAtMs ?? run.queuedAtMs),
    rootState: hasEnded ? undefined : state,
    // Of the time before a resume it says nothing of this one.
    liveState: stage?.epoch === run.epoch ? stage.state : undefined,
    lostDeadlineMs: await lostDeadlineMs(deps, run),
  };
}

async function lostDeadlineMs(
  { redis, kp, queues }: RepairDeps,
  { id: runId, epoch, spec, startedAtMs }: OpenRun,
): Promise<number | undefined> {
  if (spec.executor !== "flow" || startedAtMs === null) return undefined;
  const timeoutMs = (await new FlowState(redis, kp, { runId, epoch }).about())?.timeoutMs;
  if (timeoutMs === undefined) return undefined;
  const step = await queues.queue(forkPlace.name).getJob(jobIds.fork(runId, epoch, DEADLINE.path));
  return step === undefined ? startedAtMs + timeoutMs : undefined;
}

interface Task {
  readonly repair: Exclude<Repair, "none">;
  readonly maxChildren: number;
  readonly deadlineMs: number;
}

async function apply(deps: RepairDeps, run: RunRecord, { repair, maxChildren, deadlineMs }: Task): Promise<Done> {
  switch (repair) {
    case "sweep": {
      const swept = await sweepCancelled(deps, run.id);
      const { isReleased, seen } = await release(deps, run, maxChildren);
      return { isMended: swept > 0 || isReleased, seen };
    }
    case "release": {
      const { isReleased, taken, seen } = await release(deps, run, maxChildren);
      return { isMended: taken > 0 || isReleased, seen };
    }
    case "cancel":
      return { isMended: await requestCancel(deps, run.id, run.message ?? "cancelled"), seen: 0 };
    case "restore":
      return { isMended: await deps.hash.restore({ ...run, runId: run.id }), seen: 0 };
    case "deadline": {
      const ref = { runId: run.id, epoch: run.epoch, traceId: run.spec.traceId ?? run.id };
      await deps.queues.addDeadline(ref, run.spec, deadlineMs - deps.clock.nowMs());
      return { isMended: true, seen: 0 };
    }
    case "settle":
    case "requeue":
      return { isMended: await requeue(deps, run, repair), seen: 0 };
    default:
      return assertNever(repair);
  }
}

function release({ queues }: RepairDeps, run: RunRecord, maxChildren: number) {
  return queues.releaseRoot({ runId: run.id, epoch: run.epoch }, Math.max(1, maxChildren));
}

/** Whether it was needed still: a producer that was slow may have added the jobs in the meantime. */
async function requeue(deps: RepairDeps, run: RunRecord, repair: "requeue" | "settle"): Promise<boolean> {
  const id = jobIds.report(run.id, run.epoch);
  if (await deps.queues.hasRoot({ runId: run.id, epoch: run.epoch })) return false;
  const ended = await deps.queues.queue(reportPlace.name).getJob(id);
  if (ended !== undefined) await ended.remove();
  await deps.redis.persist(keys.run(deps.kp, run.id));
  const ref = { runId: run.id, epoch: run.epoch, traceId: run.spec.traceId ?? run.id };
  // A scan leaves out what has a row already, so adding one again is safe; a report alone writes the end down.
  // One that has ended would count as an ended child of the new root.
  await deps.queues.removeFirst(ref, run.spec);
  const isNoted = (await deps.hash.stage(run.id))?.epoch === run.epoch;
  await deps.queues.addRun(ref, run.spec, repair === "settle" ? [] : "scan", isNoted ? undefined : liveFields(run));
  return true;
}
