/** The decision behind `explain`: from facts about runs, jobs, queues and workers to reasons. Pure. */
import { isTerminal } from "../contract/outcomes.ts";
import { printablePath } from "../contract/path-bytes.ts";
import { runOfJobId } from "../contract/queues.ts";
import { MiB } from "../contract/resources.ts";
import type { RoomWait, RunStatus, WaitCode, WaitReason, WorkerHeartbeat } from "../contract/status.ts";

export interface QueueFacts {
  readonly name: string;
  /** Labels that a worker needs to serve it. */
  readonly labels: readonly string[];
  readonly isPaused: boolean;
  /** With the delayed ones that are due. */
  readonly waiting: number;
  readonly active: number;
  /** Those that are not due yet. */
  readonly delayed: number;
  readonly nextDelayedAtMs: number | null;
  /** How the first of the delayed jobs ended last time; null when nothing is known. */
  readonly lastFailure: string | null;
}

export interface JobFacts {
  readonly id: string;
  readonly queue: string;
  /** BullMQ's state, but `waiting` for a delayed job that is due. */
  readonly state: string;
  readonly addedAtMs: number;
  /** When a delayed job may run. */
  readonly dueAtMs: number | null;
  readonly startedAtMs: number | null;
  readonly endedAtMs: number | null;
  readonly failedReason: string | null;
  /** How the first of its files ended before; null for a job that is no second try. */
  readonly lastFailure: string | null;
  readonly attemptsMade: number;
  readonly unprocessedChildren: number;
}

export interface RunQuestion {
  readonly status: RunStatus;
  /** Those that are alive. */
  readonly workers: readonly WorkerHeartbeat[];
  /** The queues that serve the chunks of the run's profile. */
  readonly queues: readonly QueueFacts[];
  readonly scan: JobFacts | undefined;
  readonly report: JobFacts | undefined;
  /** Jobs below the root that have not ended. */
  readonly openJobs: number;
  /** What the disk of the outputs lacks. */
  readonly room?: RoomWait | undefined;
  readonly nowMs: number;
  /** All workers are processes of this machine, which come and go with the commands that brought them. */
  readonly isEmbedded: boolean;
  /** How full Redis is; null without a limit. */
  readonly redisFill?: number | null;
}

export interface JobQuestion {
  readonly job: JobFacts;
  readonly queue: QueueFacts;
  readonly workers: readonly WorkerHeartbeat[];
  readonly nowMs: number;
  readonly isEmbedded: boolean;
  readonly redisFill?: number | null;
}

/** Why a run is not running, or that it is, or how it ended. Never empty. */
export function decideRunReasons(asked: RunQuestion): WaitReason[] {
  const { status } = asked;
  const where = `run ${status.id}`;
  if (isTerminal(status.state)) {
    const message = status.message === null ? "" : `: ${status.message}`;
    return [reason(where, "ended", `the run ended as ${status.state}${message}`, { sinceMs: status.endedAtMs })];
  }
  if (status.state === "cancelling") {
    const left = status.progress.runningJobs;
    const message = `cancelling: ${jobsWords(left)} still held by workers`;
    return [reason(where, "cancelling", message, { have: left }), ...noWorkerReasons(asked, status.id)];
  }
  const reasons = [
    ...runningReasons(asked),
    ...roomReasons(asked),
    ...scanReasons(asked),
    ...noWorkerReasons(asked, status.id),
    ...labelReasons(asked.workers, status.spec.resources.labels),
    ...asked.queues.flatMap((queue) => queueReasons(queue, asked.workers, asked.nowMs)),
  ];
  return reasons.length > 0 ? reasons : [idleReason(asked)];
}

/** Why a job is not running, or that it is, or how it ended. Never empty. */
export function decideJobReasons(asked: JobQuestion): WaitReason[] {
  const { job, queue, nowMs } = asked;
  const where = `job ${job.id}`;
  switch (job.state) {
    case "active":
      return [...noWorkerReasons(asked, runOfJobId(job.id)), holderReason(asked)];
    case "completed":
      return [reason(where, "ended", "the job has ended", { sinceMs: job.endedAtMs })];
    case "failed":
      return [
        reason(
          where,
          "failed",
          `the job failed after ${job.attemptsMade} attempts: ${job.failedReason ?? "no reason"}`,
          {
            sinceMs: job.endedAtMs,
          },
        ),
      ];
    case "delayed":
      return [backoffReason(where, job.dueAtMs, nowMs, job.lastFailure)];
    case "waiting-children": {
      const left = job.unprocessedChildren;
      const message = `waits until ${left === 1 ? "1 child has" : `${left} children have`} ended`;
      return [reason(where, "waits-for-children", message, { sinceMs: job.addedAtMs, have: left, need: 0 })];
    }
    default: {
      const reasons = [
        ...noWorkerReasons(asked, runOfJobId(job.id)),
        ...labelReasons(asked.workers, queue.labels),
        ...queueReasons({ ...queue, delayed: 0 }, asked.workers, nowMs),
      ];
      return reasons.length > 0 ? reasons : [noLaneReason(queue.name)];
    }
  }
}

function runningReasons({ status, workers }: RunQuestion): WaitReason[] {
  return workers.flatMap((worker) => {
    const mine = worker.running.filter((job) => job.runId === status.id);
    if (mine.length === 0) return [];
    const sinceMs = Math.min(...mine.map((job) => job.sinceMs));
    return [reason(workerWhere(worker), "running", `runs ${jobsWords(mine.length)} of this run`, { sinceMs })];
  });
}

function roomReasons({ status, room }: RunQuestion): WaitReason[] {
  if (room === undefined) return [];
  const { root } = status.spec.output;
  const { freeBytes, needBytes } = room;
  const need = needBytes === 0 ? "" : `, an output needs more than ${mebibytes(needBytes)}`;
  const message = `the disk of ${printablePath(root)} has no room: ${mebibytes(freeBytes)} free${need}; free some, and the run goes on by itself`;
  return [reason(`output ${printablePath(root)}`, "DISK_FULL", message, { need: needBytes, have: freeBytes })];
}

export function mebibytes(bytes: number): string {
  return `${Math.round((bytes / MiB) * 10) / 10} MiB`;
}

function scanReasons({ status, scan, report }: RunQuestion): WaitReason[] {
  const where = `run ${status.id}`;
  if (scan?.state === "active") {
    const found = status.counts.total;
    return [reason(where, "scanning", `the scan goes on, ${found} files so far`, { sinceMs: scan.startedAtMs })];
  }
  if (scan === undefined && report === undefined && !status.progress.isScanned) {
    const message =
      "the run is stored, but its jobs are not in Redis; its producer may have ended before it added them";
    return [reason(where, "not-submitted", message, { sinceMs: status.createdAtMs })];
  }
  return [];
}

/** Near its limit Redis refuses what adds, though some is left. */
const FULL_REDIS = 0.98;

/** That nobody is there to do anything, and what to do about it. */
export function noWorkerReasons(
  { workers, isEmbedded, redisFill = null }: Pick<RunQuestion, "workers" | "isEmbedded" | "redisFill">,
  runId: string | undefined,
): WaitReason[] {
  if (workers.length > 0) return [];
  // A Redis that takes no more takes no heartbeat either: workers may well be there.
  if (redisFill !== null && redisFill >= FULL_REDIS) {
    const message = `redis is ${Math.round(100 * redisFill)} % full and takes no more, so nothing moves; raise its limit: redis-cli CONFIG SET maxmemory …`;
    return [reason("redis", "redis-full", message, { need: 1, have: redisFill })];
  }
  const run = runId ?? "RUN";
  const advice = isEmbedded
    ? `to go on with the run: headroom run --resume ${run}; to end it: headroom cancel ${run}`
    : "start one with: headroom worker";
  return [reason("cluster", "no-worker", `no worker is alive; ${advice}`, { need: 1, have: 0 })];
}

/** What the workers that are there lack. */
export function labelReasons(workers: readonly WorkerHeartbeat[], labels: readonly string[]): WaitReason[] {
  if (workers.length === 0) return [];
  if (workers.some((worker) => labels.every((label) => worker.labels.includes(label)))) return [];
  const have = [...new Set(workers.flatMap((worker) => worker.labels))].toSorted().join(", ");
  const message = `no live worker carries all the labels that are needed: ${labels.join(", ")}`;
  return [reason("cluster", "no-worker-with-labels", message, { need: labels.join(", "), have: have || "none" })];
}

/** Why the head of a queue is not claimed. */
export function queueReasons(queue: QueueFacts, workers: readonly WorkerHeartbeat[], nowMs: number): WaitReason[] {
  const where = `queue ${queue.name}`;
  if (queue.isPaused) return [reason(where, "queue-paused", "the queue is paused; resume it on Bull Board", {})];
  const reasons: WaitReason[] = [];
  if (queue.waiting > 0) {
    for (const worker of workers) {
      const waits = worker.waiting.filter((wait) => wait.queue === queue.name);
      reasons.push(...waits.map(({ queue: _queue, ...wait }) => ({ where: workerWhere(worker), ...wait })));
    }
    const message = `${jobsWords(queue.waiting)} waiting, ${jobsWords(queue.active)} running`;
    reasons.push(reason(where, "queued-behind", message, { have: queue.active, need: queue.waiting + queue.active }));
  }
  if (queue.delayed > 0) {
    const message = `${jobsWords(queue.delayed)} waiting for another try`;
    const later = backoffReason(where, queue.nextDelayedAtMs, nowMs, queue.lastFailure);
    reasons.push({ ...later, message: `${message}; the first one: ${later.message}` });
  }
  return reasons;
}

function holderReason({ job, workers }: JobQuestion): WaitReason {
  for (const worker of workers) {
    const held = worker.running.find((running) => running.jobId === job.id);
    if (held !== undefined) return reason(workerWhere(worker), "running", "runs here", { sinceMs: held.sinceMs });
  }
  const message = "a worker holds the job, but no heartbeat names it (yet); a lost job goes back to the queue";
  return reason(`job ${job.id}`, "running", message, { sinceMs: job.startedAtMs });
}

function backoffReason(where: string, dueAtMs: number | null, nowMs: number, lastFailure: string | null): WaitReason {
  const why = lastFailure === null ? "" : ` after ${lastFailure}`;
  if (dueAtMs === null) return reason(where, "backoff", `waits for another try${why}`, {});
  const etaMs = Math.max(0, dueAtMs - nowMs);
  const until = `until ${new Date(dueAtMs).toISOString()}`;
  return reason(where, "backoff", `waits for another try ${until}${why}`, { etaMs });
}

function idleReason({ status, scan, openJobs }: RunQuestion): WaitReason {
  const where = `run ${status.id}`;
  if (scan !== undefined && scan.state !== "completed" && scan.state !== "failed") {
    return reason(where, "queued-behind", "the scan waits in its queue", { sinceMs: scan.addedAtMs });
  }
  if (openJobs > 0) {
    const message = `the report waits until ${openJobs === 1 ? "1 job has" : `${openJobs} jobs have`} ended`;
    return reason(where, "waits-for-children", message, { need: 0, have: openJobs });
  }
  return reason(where, "queued-behind", "every chunk has ended; the report is next", {});
}

function noLaneReason(queueName: string): WaitReason {
  const message = "workers are alive, but none has said what keeps it from this queue; the next heartbeat will";
  return reason(`queue ${queueName}`, "no-worker-for-queue", message, {});
}

type Details = Partial<Pick<WaitReason, "sinceMs" | "etaMs" | "need" | "have">>;

export function reason(where: string, code: WaitCode, message: string, details: Details): WaitReason {
  return { where, code, message, sinceMs: null, etaMs: null, need: null, have: null, ...details };
}

export function workerWhere(worker: WorkerHeartbeat): string {
  return `worker ${worker.workerId}`;
}

export function jobsWords(count: number): string {
  return count === 1 ? "1 job" : `${count} jobs`;
}
