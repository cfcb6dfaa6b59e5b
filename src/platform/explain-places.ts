/** The decision behind `explain` of a worker or a profile: what it does, what it leaves, and why. Pure. */
import { parseQueueName } from "../contract/queues.ts";
import { bucketBytes } from "../contract/profiles.ts";
import type { WaitReason, WorkerHeartbeat } from "../contract/status.ts";
import {
  jobsWords,
  labelReasons,
  mebibytes,
  noWorkerReasons,
  queueReasons,
  reason,
  workerWhere,
  type QueueFacts,
} from "./explain-reasons.ts";

export interface WorkerQuestion {
  readonly worker: WorkerHeartbeat;
  readonly isAlive: boolean;
  /** The queues of chunks. */
  readonly queues: readonly QueueFacts[];
  readonly nowMs: number;
}

export interface ProfileQuestion {
  readonly profile: string;
  /** Those of its chunks, one per size. */
  readonly queues: readonly QueueFacts[];
  /** Those that are alive. */
  readonly workers: readonly WorkerHeartbeat[];
  readonly nowMs: number;
  readonly isEmbedded: boolean;
  readonly redisFill?: number | null;
}

/** What a worker does, and why it leaves what waits. Never empty; what it lacks comes first. */
export function decideWorkerReasons({ worker, isAlive, queues, nowMs }: WorkerQuestion): WaitReason[] {
  const where = workerWhere(worker);
  if (!isAlive) {
    const seconds = Math.round((nowMs - worker.atMs) / 1_000);
    const message = `its last heartbeat is ${seconds} s old; what it held goes to others once its locks have run out`;
    return [reason(where, "no-worker", message, { sinceMs: worker.atMs })];
  }
  const waiting = queues.filter((queue) => queue.waiting > 0);
  const reasons = waiting.flatMap((queue) => leavingReasons(worker, queue));
  if (worker.running.length > 0) {
    const sinceMs = Math.min(...worker.running.map((job) => job.sinceMs));
    reasons.push(reason(where, "running", `runs ${jobsWords(worker.running.length)}`, { sinceMs }));
  }
  return reasons.length > 0 ? reasons : [reason(where, "idle", "nothing waits that it may take", {})];
}

/** Why this worker does not take the head of a queue now; nothing when it is about to. */
function leavingReasons(worker: WorkerHeartbeat, queue: QueueFacts): WaitReason[] {
  const where = workerWhere(worker);
  if (queue.isPaused) return queueReasons(queue, [], 0);
  const missing = queue.labels.filter((label) => !worker.labels.includes(label));
  if (missing.length > 0) {
    const message = `${jobsWords(queue.waiting)} of ${queue.name} need labels that it does not carry: ${missing.join(", ")}`;
    const have = worker.labels.join(", ") || "none";
    return [reason(where, "no-worker-with-labels", message, { need: queue.labels.join(", "), have })];
  }
  return worker.waiting
    .filter((wait) => wait.queue === queue.name)
    .map(({ queue: name, ...wait }) => ({ where: `${where}, queue ${name}`, ...wait }));
}

/** How the jobs of a profile stand. Never empty; what keeps them comes first. */
export function decideProfileReasons(asked: ProfileQuestion): WaitReason[] {
  const { profile, workers, nowMs } = asked;
  const queues = asked.queues.filter(({ waiting, active, delayed }) => waiting + active + delayed > 0);
  if (queues.length === 0) return [reason(`profile ${profile}`, "idle", "no job of it waits or runs", {})];
  return [
    ...noWorkerReasons(asked, undefined),
    ...queues.flatMap((queue) => [
      ...(queue.waiting > 0 ? labelReasons(workers, queue.labels) : []),
      ...(queue.waiting > 0 ? tooLargeReasons(queue, workers) : []),
      ...queueReasons(queue, workers, nowMs),
      ...(queue.waiting === 0 && queue.active > 0
        ? [reason(`queue ${queue.name}`, "running", `${jobsWords(queue.active)} running`, {})]
        : []),
    ]),
  ];
}

/** That no worker can ever take the jobs of a queue, and which one comes nearest. */
function tooLargeReasons(queue: QueueFacts, workers: readonly WorkerHeartbeat[]): WaitReason[] {
  const able = workers.filter((worker) => queue.labels.every((label) => worker.labels.includes(label)));
  const needBytes = bucketBytes(parseQueueName(queue.name).bucket);
  const sizes = able.map((worker) => ({ worker, bytes: worker.largestJobBytes ?? Infinity }));
  if (sizes.length === 0 || sizes.some(({ bytes }) => bytes >= needBytes)) return [];
  const nearest = sizes.reduce((best, one) => (one.bytes > best.bytes ? one : best));
  const message =
    `no live worker can ever take these jobs: each needs ${mebibytes(needBytes)} of memory, and the nearest one, ` +
    `${nearest.worker.workerId}, takes jobs of ${mebibytes(nearest.bytes)} at most`;
  return [reason(`queue ${queue.name}`, "UNSCHEDULABLE", message, { need: needBytes, have: nearest.bytes })];
}
