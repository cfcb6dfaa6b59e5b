/** Why is it not running? Gathers what Redis knows, then decides the reasons (explain-reasons.ts). */
import type { Job } from "bullmq";
import type { Redis } from "ioredis";
import { z } from "zod";
import { NotFoundError } from "../contract/errors.ts";
import type { AttemptRecord } from "../contract/files.ts";
import { jobs } from "../contract/jobs.ts";
import { printablePath } from "../contract/path-bytes.ts";
import { effectiveProfile } from "../contract/profile-changes.ts";
import { jobIds, keys, runOfJobId } from "../contract/queues.ts";
import type { RunRecord } from "../contract/run-record.ts";
import { isTerminal } from "../contract/outcomes.ts";
import type { Explanation, RoomWait, RunStatus, WaitReason, WorkerHeartbeat } from "../contract/status.ts";
import type { Clock } from "./clock.ts";
import { delayedKey, dueAtMs, lastDueScore } from "./delayed-jobs.ts";
import {
  decideJobReasons,
  decideRunReasons,
  type JobFacts,
  type LostJobs,
  type QueueFacts,
} from "./explain-reasons.ts";
import { decideProfileReasons, decideWorkerReasons } from "./explain-places.ts";
import { profileSetReasons, type ClusterFacts } from "./explain-workers.ts";
import { execPlace, profileOfPlace, reportPlace, scanPlace, type JobQueues, type QueuePlace } from "./job-queues.ts";
import { memoryFill } from "./redis-check.ts";
import { loadLiveFigures, runStatusOf } from "./run-status.ts";
import { FlowState } from "./flow/flow-state.ts";
import { isAlive, isProcessThere, loadHeartbeats } from "./worker-heartbeats.ts";

export interface ExplainDeps {
  readonly redis: Redis;
  /** The result of `keyPrefix`. */
  readonly prefix: string;
  readonly queues: JobQueues;
  readonly clock: Clock;
  /** The Redis is that of a data folder, so all its workers are processes of this machine. */
  readonly isEmbedded?: boolean;
  /** The store's record of a run. */
  readonly findRun: (runId: string) => Promise<RunRecord | undefined>;
  /** The store's record of attempts, to tell why a file is tried again. */
  readonly findAttempts?: (runId: string, path: string) => Promise<readonly AttemptRecord[]>;
}

const roomWait = z.object({ freeBytes: z.number(), needBytes: z.number(), atMs: z.number() });
/** Longer than the pause after which a chunk looks again. */
const ROOM_TOLD_MS = 20_000;

/**
 * Says why a run or a job is not running, what a worker (by its id or its host) does and leaves, or how the jobs of a
 * profile stand. @throws {NotFoundError} for an id that is none of these
 */
export async function explain(deps: ExplainDeps, id: string): Promise<Explanation> {
  const runId = runOfJobId(id);
  const run = await deps.findRun(runId ?? id);
  if (run !== undefined) return runId === undefined ? explainRun(deps, run) : explainJob(deps, run, id);
  const place = (await explainWorker(deps, id)) ?? (await explainProfile(deps, id));
  if (place !== undefined) return place;
  throw new NotFoundError(runId === undefined ? "run, job, worker or profile" : "job", id);
}

async function explainWorker(deps: ExplainDeps, id: string): Promise<Explanation | undefined> {
  const nowMs = deps.clock.nowMs();
  const all = await loadHeartbeats(deps.redis, deps.prefix);
  const byId = all.filter(({ workerId }) => workerId === id);
  const mine = byId.length > 0 ? byId : all.filter(({ host }) => host === id);
  if (mine.length === 0) return undefined;
  const alive = mine.filter((worker) => isThere(deps, worker, nowMs));
  const queues = await loadQueues(deps, (place) => place.name.startsWith("exec."), nowMs);
  const reasons = mine.flatMap((worker) =>
    decideWorkerReasons({ worker, isAlive: alive.includes(worker), queues, nowMs }),
  );
  const states = alive.length === 0 ? ["gone"] : alive.map(({ state }) => state);
  return { subject: { kind: "worker", id }, state: [...new Set(states)].join(", "), reasons };
}

async function explainProfile(deps: ExplainDeps, id: string): Promise<Explanation | undefined> {
  const nowMs = deps.clock.nowMs();
  const isMeant = (place: QueuePlace) => place.name.startsWith("exec.") && profileOfPlace(place) === id;
  const queues = await loadQueues(deps, isMeant, nowMs);
  const set = profileSetReasons(id, deps.queues.profileChanges.get(id));
  if (queues.length === 0 && set.length === 0) return undefined;
  const cluster = await loadCluster(deps, nowMs);
  const reasons = [...decideProfileReasons({ profile: id, queues, ...cluster }), ...set];
  const isRunning = queues.some(({ active }) => active > 0);
  const isWaiting = queues.some(({ waiting, delayed }) => waiting + delayed > 0);
  const state = isRunning ? "running" : isWaiting ? "waiting" : "idle";
  return { subject: { kind: "profile", id }, state, reasons };
}

async function loadQueues(
  deps: ExplainDeps,
  isMeant: (place: QueuePlace) => boolean,
  nowMs: number,
): Promise<QueueFacts[]> {
  const places = await deps.queues.list();
  return Promise.all(places.filter(isMeant).map((place) => loadQueue(deps, place, nowMs)));
}

async function explainRun(deps: ExplainDeps, run: RunRecord): Promise<Explanation> {
  const nowMs = deps.clock.nowMs();
  const { id, epoch, spec } = run;
  const isOfRun = await queuesOf(deps, run);
  const [cluster, [live], queues, openJobs, room, leaders] = await Promise.all([
    loadCluster(deps, nowMs),
    loadLiveFigures(deps.redis, deps.prefix, [id]),
    loadQueues(deps, isOfRun, nowMs),
    deps.queues.openCount({ runId: id, epoch }),
    loadRoom(deps, id, nowMs),
    deps.redis.exists(keys.leader(deps.prefix)),
  ]);
  const [scan, report, scanQueue, reportQueue, lostJobs] = await Promise.all([
    loadJob(deps, scanPlace, jobIds.scan(id, epoch), nowMs),
    loadJob(deps, reportPlace, jobIds.report(id, epoch), nowMs),
    loadQueue(deps, scanPlace, nowMs),
    loadQueue(deps, reportPlace, nowMs),
    loadLostJobs(deps, id, cluster),
  ]);
  const control = { scan: scanQueue, report: reportQueue };
  const change = deps.queues.profileChanges.get(spec.profile);
  const resources = effectiveProfile(spec.resources, change);
  const status = { ...runStatusOf(run, live, cluster.workers, nowMs), spec: { ...spec, resources } };
  const facts = { status, queues, scan, report, control, lostJobs, openJobs, room, hasScheduler: leaders > 0 };
  const set = isTerminal(status.state) ? [] : profileSetReasons(spec.profile, change);
  const reasons = [...decideRunReasons({ ...facts, ...cluster }), ...set, ...(await partReasons(deps, run, status))];
  return { subject: { kind: "run", id }, state: status.state, reasons };
}

/** Of a flow so many runs of its nodes are looked at. */
const PARTS_LOOKED_AT = 20;

/** What holds up the runs that do the work of a flow's nodes, as far as it is not the same for several. */
async function partReasons(deps: ExplainDeps, { id, epoch, spec }: RunRecord, flow: RunStatus): Promise<WaitReason[]> {
  if (spec.executor !== "flow" || isTerminal(flow.state)) return [];
  const ids = await new FlowState(deps.redis, deps.prefix, { runId: id, epoch }).runs();
  const parts = await Promise.all(ids.map((part) => deps.findRun(part)));
  const going = parts.filter((part) => part !== undefined).filter(({ state }) => !isTerminal(state));
  const told = await Promise.all(going.slice(0, PARTS_LOOKED_AT).map((part) => explainRun(deps, part)));
  const reasons = new Map(told.flatMap((part) => part.reasons).map((one) => [`${one.where} ${one.code}`, one]));
  return [...reasons.values()];
}

/** Of a flow so many open calls are looked at. */
const CALLS_LOOKED_AT = 500;

/** The queues that may hold jobs of the run: those of its profile; of a flow, those in which calls of its nodes are. */
async function queuesOf(
  { queues }: ExplainDeps,
  { id, epoch, spec }: RunRecord,
): Promise<(place: QueuePlace) => boolean> {
  if (spec.executor !== "flow") return ({ name }) => family(name) === family(execPlace(spec).name);
  const names = new Set<string>();
  let seen = 0;
  for await (const { queue } of queues.openJobs({ runId: id, epoch })) {
    names.add(queue);
    seen += 1;
    if (seen === CALLS_LOOKED_AT) break;
  }
  // Gates and reports of other runs wait in the same queues as its own, and are no reason.
  return ({ name }) => names.has(name) && !/^(?:fork|report|scan)\./.test(name);
}

async function explainJob(deps: ExplainDeps, run: RunRecord, jobId: string): Promise<Explanation> {
  const nowMs = deps.clock.nowMs();
  const place = await findPlace(deps, jobId);
  const job = place === undefined ? undefined : await loadJob(deps, place, jobId, nowMs);
  if (place === undefined || job === undefined) throw new NotFoundError("job", jobId);
  const [cluster, queue, [live]] = await Promise.all([
    loadCluster(deps, nowMs),
    loadQueue(deps, place, nowMs),
    loadLiveFigures(deps.redis, deps.prefix, [run.id]),
  ]);
  const endingRun = endingRunOf(runStatusOf(run, live, cluster.workers, nowMs));
  const reasons = decideJobReasons({ job, queue, endingRun, ...cluster });
  return { subject: { kind: "job", id: jobId }, state: job.state, reasons };
}

/** The run, where nothing of it is to be started any more. */
function endingRunOf(status: RunStatus): RunStatus | undefined {
  return status.state === "cancelling" || isTerminal(status.state) ? status : undefined;
}

async function findPlace(deps: ExplainDeps, jobId: string): Promise<QueuePlace | undefined> {
  const places = await deps.queues.list();
  const found = await Promise.all(places.map((place) => deps.redis.exists(`${deps.prefix}:${place.name}:${jobId}`)));
  return places.find((_place, at) => found[at] === 1);
}

async function loadCluster(deps: ExplainDeps, nowMs: number): Promise<ClusterFacts> {
  const { isEmbedded = false, redis, prefix } = deps;
  const [all, redisFill] = await Promise.all([loadHeartbeats(redis, prefix), memoryFill(redis)]);
  const workers = all.filter((worker) => isThere(deps, worker, nowMs));
  return { workers, lost: all.filter((worker) => !workers.includes(worker)), nowMs, isEmbedded, redisFill };
}

/** A worker that was lost may have held many: so many are looked up. */
const LOST_JOBS_LOOKED_AT = 50;

/** Jobs of a run that are still held in the name of a worker that was lost, by worker. */
async function loadLostJobs(deps: ExplainDeps, runId: string, cluster: ClusterFacts): Promise<LostJobs[]> {
  const { lost, workers, nowMs } = cluster;
  const taken = new Set(workers.flatMap(({ running }) => running.map(({ jobId }) => jobId)));
  const all = lost.map(async (worker) => {
    const mine = worker.running.filter((job) => job.runId === runId && !taken.has(job.jobId));
    const jobs = await Promise.all(
      mine.slice(0, LOST_JOBS_LOOKED_AT).map(async ({ jobId }) => {
        const place = await findPlace(deps, jobId);
        return place === undefined ? undefined : loadJob(deps, place, jobId, nowMs);
      }),
    );
    return { worker, jobs: jobs.filter((job) => job !== undefined).filter(({ state }) => state === "active") };
  });
  return (await Promise.all(all)).filter(({ jobs }) => jobs.length > 0);
}

function isThere(deps: ExplainDeps, worker: WorkerHeartbeat, nowMs: number): boolean {
  return isAlive(worker, nowMs) && (deps.isEmbedded !== true || isProcessThere(worker));
}

/** What the disk of the outputs lacks; undefined when no chunk was given back for that of late. */
async function loadRoom(deps: ExplainDeps, runId: string, nowMs: number): Promise<RoomWait | undefined> {
  const text = await deps.redis.hget(keys.run(deps.prefix, runId), "room");
  const room = text === null ? undefined : roomWait.parse(JSON.parse(text));
  return room !== undefined && nowMs - room.atMs < ROOM_TOLD_MS ? room : undefined;
}

/** What queues of one job name and profile share, whatever their size bucket. */
function family(queueName: string): string {
  return queueName.slice(0, queueName.lastIndexOf("@"));
}

async function loadQueue(deps: ExplainDeps, place: QueuePlace, nowMs: number): Promise<QueueFacts> {
  const queue = deps.queues.queue(place.name);
  const [delayed, lastDue] = [delayedKey(deps.prefix, place.name), lastDueScore(nowMs)];
  const [counts, isPaused, due, [nextId, nextScore]] = await Promise.all([
    queue.getJobCounts("wait", "prioritized", "active", "delayed"),
    queue.isPaused(),
    deps.redis.zcount(delayed, "-inf", lastDue),
    deps.redis.zrange(delayed, `(${lastDue}`, "+inf", "BYSCORE", "LIMIT", 0, 1, "WITHSCORES"),
  ]);
  return {
    name: place.name,
    labels: place.spec.labels,
    gpuMemoryBytes: place.spec.gpuMemoryBytes,
    isPaused,
    waiting: (counts["wait"] ?? 0) + (counts["prioritized"] ?? 0) + due,
    active: counts["active"] ?? 0,
    delayed: Math.max(0, (counts["delayed"] ?? 0) - due),
    nextDelayedAtMs: nextScore === undefined ? null : dueAtMs(nextScore),
    lastFailure: nextId === undefined ? null : await loadLastFailure(deps, await loadRaw(deps, place, nextId)),
  };
}

/** How the first file of a chunk that is tried again ended last time: its class, how often, and in which words. */
async function loadLastFailure(deps: ExplainDeps, job: Job | undefined): Promise<string | null> {
  const chunk = jobs.exec.payload.safeParse(job?.data);
  const [file] = chunk.data?.files ?? [];
  if (chunk.data === undefined || file === undefined) return null;
  const { path } = file;
  const attempts = (await deps.findAttempts?.(chunk.data.runId, path)) ?? [];
  const last = attempts.findLast(({ end }) => end === "retried");
  if (last === undefined) return null;
  return `${last.failureClass ?? "failure"} of ${printablePath(path)}: ${last.message ?? "no message"}`;
}

function loadRaw(deps: ExplainDeps, place: QueuePlace, jobId: string): Promise<Job | undefined> {
  return deps.queues.queue(place.name).getJob(jobId) as Promise<Job | undefined>;
}

function stateFacts(state: string, score: string | null, nowMs: number): Pick<JobFacts, "state" | "dueAtMs"> {
  if (state !== "delayed" || score === null) return { state, dueAtMs: null };
  const atMs = dueAtMs(score);
  return atMs <= nowMs ? { state: "waiting", dueAtMs: null } : { state, dueAtMs: atMs };
}

async function loadJob(
  deps: ExplainDeps,
  place: QueuePlace,
  jobId: string,
  nowMs: number,
): Promise<JobFacts | undefined> {
  const job = await loadRaw(deps, place, jobId);
  if (job === undefined) return undefined;
  const [state, score, lockMs] = await Promise.all([
    job.getState(),
    deps.redis.zscore(delayedKey(deps.prefix, place.name), jobId),
    deps.redis.pttl(`${deps.prefix}:${place.name}:${jobId}:lock`),
  ]);
  const isParent = state === "waiting-children";
  const children = isParent ? await job.getDependenciesCount({ unprocessed: true }) : {};
  return {
    id: jobId,
    queue: place.name,
    addedAtMs: job.timestamp,
    ...stateFacts(state, score, nowMs),
    startedAtMs: job.processedOn ?? null,
    endedAtMs: job.finishedOn ?? null,
    failedReason: job.failedReason || null,
    lastFailure: state === "delayed" ? await loadLastFailure(deps, job) : null,
    attemptsMade: job.attemptsMade,
    unprocessedChildren: children.unprocessed ?? 0,
    lockLeftMs: lockMs >= 0 ? lockMs : null,
  };
}
