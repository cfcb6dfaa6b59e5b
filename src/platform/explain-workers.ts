/** What `explain` says about the workers of a cluster: that none is there, drains, carries the labels, or is large enough. Pure. */
import { SANDBOX_LABEL } from "../contract/allow.ts";
import { bucketBytes } from "../contract/profiles.ts";
import { lackedBytes, nearestOf } from "./worker-size.ts";
import type { ProfileChange } from "../contract/profile-changes.ts";
import { parseQueueName } from "../contract/queues.ts";
import { MiB } from "../contract/resources.ts";
import {
  WORKER_ALIVE_MS,
  type KeptRoom,
  type RunningJob,
  type WaitCode,
  type WaitReason,
  type WorkerHeartbeat,
} from "../contract/status.ts";

/** What is known of the cluster as a whole. */
export interface ClusterFacts {
  /** Workers that are alive. */
  readonly workers: readonly WorkerHeartbeat[];
  /** The last heartbeats of workers that are not. */
  readonly lost: readonly WorkerHeartbeat[];
  readonly nowMs: number;
  /** All workers are processes of this machine, which come and go with the commands that brought them. */
  readonly isEmbedded: boolean;
  /** How full Redis is; null without a limit. */
  readonly redisFill: number | null;
}

type Details = Partial<Pick<WaitReason, "sinceMs" | "etaMs" | "need" | "have">>;

export function reason(where: string, code: WaitCode, message: string, details: Details): WaitReason {
  return { where, code, message, sinceMs: null, etaMs: null, need: null, have: null, ...details };
}

export function workerWhere({ workerId }: Pick<WorkerHeartbeat, "workerId">): string {
  return `worker ${workerId}`;
}

export function jobsWords(count: number): string {
  return count === 1 ? "1 job" : `${count} jobs`;
}

/** What is done to running jobs because something is short: added to how many run. */
export function enforcedWords(running: readonly RunningJob[]): string {
  const [first, ...more] = running.flatMap(({ enforced }) => enforced ?? []);
  if (first === undefined) return "";
  return `; ${first.state}: ${first.message}${more.length === 0 ? "" : ` (and ${more.length} more)`}`;
}

export function mebibytes(bytes: number): string {
  return `${Math.round((bytes / MiB) * 10) / 10} MiB`;
}

/** Near its limit Redis refuses what adds, though some is left. */
const FULL_REDIS = 0.98;

/** A Redis that takes no more takes no claim, and no heartbeat either: workers may well be there. */
export function redisReasons({ redisFill }: Pick<ClusterFacts, "redisFill">): WaitReason[] {
  if (redisFill === null || redisFill < FULL_REDIS) return [];
  const message = `redis is ${Math.round(100 * redisFill)} % full and takes no more, so nothing moves; raise its limit: redis-cli CONFIG SET maxmemory …`;
  return [reason("redis", "redis-full", message, { need: 1, have: redisFill })];
}

/** That nobody is there to claim anything, since when, and what to do about it. */
export function noWorkerReasons(cluster: ClusterFacts, runId: string | undefined): WaitReason[] {
  const { workers, lost, isEmbedded } = cluster;
  if (workers.some(isClaiming) || redisReasons(cluster).length > 0) return [];
  const run = runId ?? "RUN";
  const advice = isEmbedded
    ? `to go on with the run: headroom run --resume ${run}; to end it: headroom cancel ${run}`
    : "start one with: headroom worker";
  const isDraining = workers.length > 0;
  const said = isDraining ? "every live worker drains and claims nothing" : "no worker is alive";
  const heardMs = lost.map(({ atMs }) => atMs);
  const sinceMs = isDraining || heardMs.length === 0 ? null : Math.max(...heardMs);
  return [reason("cluster", "no-worker", `${said}; ${advice}`, { need: 1, have: 0, sinceMs })];
}

/** What a lost worker held goes to others only once its locks have run out. */
export function lostReason(worker: WorkerHeartbeat, held: number, at: { nowMs: number; etaMs?: number }): WaitReason {
  const message = `held ${jobsWords(held)}, and ${lossWords(worker, at.nowMs)}; others get what it held once its locks have run out`;
  return reason(workerWhere(worker), "worker-lost", message, { sinceMs: worker.atMs, etaMs: at.etaMs ?? null });
}

/** How it is known that a worker is not there. */
export function lossWords({ atMs, state, pid }: WorkerHeartbeat, nowMs: number): string {
  if (state === "stopped") return "it has stopped";
  if (nowMs - atMs <= WORKER_ALIVE_MS) return `its process ${pid} is gone`;
  return `its last heartbeat is ${Math.round((nowMs - atMs) / 1_000)} s old`;
}

/** Workers find that label out by themselves. */
const SANDBOX_ADVICE = `a worker carries ${SANDBOX_LABEL} once it can shut processes in: install bubblewrap there, or allow user namespaces (headroom doctor), and start it again`;

/** What the workers that are there lack. */
export function labelReasons(workers: readonly WorkerHeartbeat[], labels: readonly string[]): WaitReason[] {
  const claiming = workers.filter(isClaiming);
  if (claiming.length === 0 || claiming.some((worker) => carries(worker, labels))) return [];
  const have = [...new Set(claiming.flatMap((worker) => worker.labels))].toSorted().join(", ");
  const lacking = `no live worker carries all the labels that are needed: ${labels.join(", ")}`;
  const isOpen = labels.includes(SANDBOX_LABEL) && !have.split(", ").includes(SANDBOX_LABEL);
  const message = isOpen ? `${lacking}; ${SANDBOX_ADVICE}` : lacking;
  return [reason("cluster", "no-worker-with-labels", message, { need: labels.join(", "), have: have || "none" })];
}

export interface QueueNeeds {
  readonly name: string;
  /** Labels that a worker needs to serve it. */
  readonly labels: readonly string[];
  /** What all its jobs declare to need of a card. */
  readonly gpuMemoryBytes?: number | undefined;
}

/** That no worker can ever take the jobs of a queue, and what the one that comes nearest lacks. */
export function tooLargeReasons(queue: QueueNeeds, workers: readonly WorkerHeartbeat[]): WaitReason[] {
  const { name, labels, gpuMemoryBytes } = queue;
  const able = workers.filter((worker) => isClaiming(worker) && carries(worker, labels));
  const needs = { memoryBytes: bucketBytes(parseQueueName(name).bucket), labels, gpuMemoryBytes };
  const nearest = nearestOf(able.map((worker) => ({ worker, lacks: lackedBytes(needs, worker) })));
  return (nearest?.lacks ?? []).map(({ of, need, have }) => {
    const most =
      of === "memory" ? `takes jobs of ${mebibytes(have)} at most` : `has cards of ${mebibytes(have)} at most`;
    const message =
      `no live worker can ever take these jobs: each needs ${mebibytes(need)} of ${of === "card" ? "GPU memory" : of}, ` +
      `and the nearest one, ${nearest?.worker.workerId ?? ""}, ${most}`;
    return reason(`queue ${name}`, "UNSCHEDULABLE", message, { need, have });
  });
}

/** That something else counts for the jobs of a profile than their runs declare. */
export function profileSetReasons(profile: string, change: ProfileChange | undefined): WaitReason[] {
  if (change === undefined) return [];
  const { memory, cpu, labels, gpu_memory: gpuMemory } = change;
  const asked = [
    ...(memory === undefined ? [] : [`${mebibytes(memory)} of memory`]),
    ...(cpu === undefined ? [] : [`${cpu} cores`]),
    ...(gpuMemory === undefined ? [] : [`${mebibytes(gpuMemory)} of the memory of a GPU`]),
    ...(labels === undefined ? [] : [labels.length === 0 ? "no labels" : `the labels ${labels.join(", ")}`]),
  ];
  const message = `its jobs ask for ${asked.join(", ")}, in place of what their runs declare; headroom profiles reset ${profile} takes that back`;
  return [reason(`profile ${profile}`, "profile-set", message, {})];
}

/** Why each worker leaves a queue. The one that can start its head soonest is told first, one that never will last. */
export function leavingReasons(queue: QueueNeeds, workers: readonly WorkerHeartbeat[]): WaitReason[] {
  return workers.flatMap((worker) => waitsAt(worker, queue)).toSorted(bySooner);
}

/** Which worker keeps room for the next job of a queue that has waited long. */
export function keptRoomReasons(queue: QueueNeeds, workers: readonly WorkerHeartbeat[]): WaitReason[] {
  return workers.flatMap((worker) => {
    const { keepsRoomFor: kept } = worker;
    return kept?.queue === queue.name ? [keptRoomReason(worker, kept)] : [];
  });
}

/** For which job a worker keeps room, and when that probably starts. */
export function keptRoomReason(worker: WorkerHeartbeat, kept: KeptRoom): WaitReason {
  const { queue, jobId, waitedMs, startsInMs } = kept;
  const whom = jobId === null ? `the next job of ${queue}` : `job ${jobId} of ${queue}`;
  const when =
    startsInMs === null ? "once enough of what runs here has ended" : `in ${Math.round(startsInMs / 1_000)} s`;
  const message = `keeps room for ${whom}, which has found none for ${Math.round(waitedMs / 1_000)} s; it can start here ${when}`;
  return reason(workerWhere(worker), "room-kept", message, { etaMs: startsInMs });
}

/** Why a worker leaves a queue that it may serve; nothing when it is about to take from it. */
export function waitsAt(worker: WorkerHeartbeat, queue: QueueNeeds): WaitReason[] {
  if (!isClaiming(worker)) return carries(worker, queue.labels) ? [drainingReason(worker)] : [];
  return worker.waiting
    .filter((wait) => wait.queue === queue.name)
    .map(({ queue: _queue, ...wait }) => ({ where: workerWhere(worker), ...wait }));
}

/** Once it drains a worker asks its governor no more, so what it said before of its queues says nothing now. */
export function drainingReason(worker: WorkerHeartbeat): WaitReason {
  return reason(workerWhere(worker), "DRAINING", "the worker drains: it ends what runs and claims nothing", {});
}

export function isClaiming({ state }: Pick<WorkerHeartbeat, "state">): boolean {
  return state !== "draining" && state !== "stopped";
}

export function carries(worker: WorkerHeartbeat, labels: readonly string[]): boolean {
  return labels.every((label) => worker.labels.includes(label));
}

/** What passes by itself before what a person has to change, and that before what never changes here. */
const ranks: Readonly<Record<string, number>> = { PAUSED: 1, LABELS: 2, DRAINING: 2, UNSCHEDULABLE: 3 };

function bySooner(a: WaitReason, b: WaitReason): number {
  const rank = (ranks[a.code] ?? 0) - (ranks[b.code] ?? 0);
  if (rank !== 0) return rank;
  // Infinity less Infinity is no number: two of which nobody knows the end stay as they are.
  return a.etaMs === b.etaMs ? 0 : (a.etaMs ?? Infinity) - (b.etaMs ?? Infinity);
}
