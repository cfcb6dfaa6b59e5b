/** The decision behind `explain` of a worker or a profile: what it does, what it leaves, and why. Pure. */
import type { WaitReason, WorkerHeartbeat } from "../contract/status.ts";
import { placeReasons, queueReasons, type QueueFacts } from "./explain-reasons.ts";
import {
  drainingReason,
  isClaiming,
  enforcedWords,
  jobsWords,
  keptRoomReason,
  lossWords,
  noWorkerReasons,
  reason,
  redisReasons,
  waitsAt,
  workerWhere,
  type ClusterFacts,
} from "./explain-workers.ts";

export interface WorkerQuestion {
  readonly worker: WorkerHeartbeat;
  readonly isAlive: boolean;
  /** The queues of chunks. */
  readonly queues: readonly QueueFacts[];
  readonly nowMs: number;
}

export interface ProfileQuestion extends ClusterFacts {
  readonly profile: string;
  /** Those of its chunks, one per size. */
  readonly queues: readonly QueueFacts[];
}

/** What a worker does, and why it leaves what waits. Never empty; what it lacks comes first. */
export function decideWorkerReasons({ worker, isAlive, queues, nowMs }: WorkerQuestion): WaitReason[] {
  const where = workerWhere(worker);
  if (!isAlive) {
    const message = `${lossWords(worker, nowMs)}; what it held goes to others once its locks have run out`;
    return [reason(where, "no-worker", message, { sinceMs: worker.atMs })];
  }
  const waiting = queues.filter((queue) => queue.waiting > 0);
  const reasons = isClaiming(worker)
    ? waiting.flatMap((queue) => leavingReasons(worker, queue))
    : [drainingReason(worker)];
  if (worker.keepsRoomFor !== null) reasons.push(keptRoomReason(worker, worker.keepsRoomFor));
  if (worker.running.length > 0) {
    const sinceMs = Math.min(...worker.running.map((job) => job.sinceMs));
    const message = `runs ${jobsWords(worker.running.length)}${enforcedWords(worker.running)}`;
    reasons.push(reason(where, "running", message, { sinceMs }));
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
  return waitsAt(worker, queue).map((wait) => ({ ...wait, where: `${where}, queue ${queue.name}` }));
}

/** How the jobs of a profile stand. Never empty; what keeps them comes first. */
export function decideProfileReasons(asked: ProfileQuestion): WaitReason[] {
  const { profile, workers, nowMs } = asked;
  const queues = asked.queues.filter(({ waiting, active, delayed }) => waiting + active + delayed > 0);
  if (queues.length === 0) return [reason(`profile ${profile}`, "idle", "no job of it waits or runs", {})];
  return [
    ...redisReasons(asked),
    ...noWorkerReasons(asked, undefined),
    ...queues.flatMap((queue) => [
      ...placeReasons(queue, workers),
      ...queueReasons(queue, workers, nowMs),
      ...(queue.waiting === 0 && queue.active > 0
        ? [reason(`queue ${queue.name}`, "running", `${jobsWords(queue.active)} running`, {})]
        : []),
    ]),
  ];
}
