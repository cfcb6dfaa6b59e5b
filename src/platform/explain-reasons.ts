/** The decision behind `explain`: from facts about runs, jobs, queues and workers to reasons. Pure. */
import { isTerminal } from "../contract/outcomes.ts";
import { printablePath } from "../contract/path-bytes.ts";
import { runOfJobId } from "../contract/queues.ts";
import type { RoomWait, RunStatus, WaitReason, WorkerHeartbeat } from "../contract/status.ts";
import {
  enforcedWords,
  jobsWords,
  keptRoomReasons,
  labelReasons,
  leavingReasons,
  lostReason,
  mebibytes,
  noWorkerReasons,
  reason,
  redisReasons,
  tooLargeReasons,
  workerWhere,
  type ClusterFacts,
  type QueueNeeds,
} from "./explain-workers.ts";

export interface QueueFacts extends QueueNeeds {
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
  /** In how many ms the lock of a job that is held runs out; null when it is not held. */
  readonly lockLeftMs: number | null;
}

/** Jobs of a run that a worker held when it was lost, and that are still held in its name. */
export interface LostJobs {
  readonly worker: WorkerHeartbeat;
  readonly jobs: readonly JobFacts[];
}

export interface RunQuestion extends ClusterFacts {
  readonly status: RunStatus;
  /** The queues that serve the chunks of the run's profile. */
  readonly queues: readonly QueueFacts[];
  readonly scan: JobFacts | undefined;
  readonly report: JobFacts | undefined;
  /** The queue of scans, and that of reports. */
  readonly control: { readonly scan: QueueFacts; readonly report: QueueFacts };
  readonly lostJobs: readonly LostJobs[];
  /** Jobs below the root that have not ended. */
  readonly openJobs: number;
  /** Whether a scheduler is at work. */
  readonly hasScheduler: boolean;
  /** What the disk of the outputs lacks. */
  readonly room?: RoomWait | undefined;
}

export interface JobQuestion extends ClusterFacts {
  readonly job: JobFacts;
  readonly queue: QueueFacts;
  /** Its run, where that ends or has ended. */
  readonly endingRun: Pick<RunStatus, "id" | "state"> | undefined;
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
    return [
      ...redisReasons(asked),
      reason(where, "cancelling", message, { have: left }),
      ...noWorkerReasons(asked, status.id),
    ];
  }
  const reasons = [
    ...redisReasons(asked),
    ...notSubmittedReasons(asked),
    ...noWorkerReasons(asked, status.id),
    ...asked.lostJobs.map(({ worker, jobs }) =>
      lostReason(worker, jobs.length, { nowMs: asked.nowMs, ...lockEta(jobs) }),
    ),
    ...runningReasons(asked),
    ...roomReasons(asked),
    ...controlReasons(asked),
    ...chunkReasons(asked),
  ];
  return reasons.length > 0 ? reasons : [idleReason(asked)];
}

/** Why a job is not running, or that it is, or how it ended. Never empty. */
export function decideJobReasons(asked: JobQuestion): WaitReason[] {
  return [...endingReasons(asked), ...redisReasons(asked), ...ownReasons(asked)];
}

/** What becomes of its run counts more than what the job itself waits for. */
function endingReasons({ job, endingRun }: JobQuestion): WaitReason[] {
  if (endingRun === undefined || job.state === "completed" || job.state === "failed") return [];
  const { id, state } = endingRun;
  const message = isTerminal(state) ? `its run ended as ${state}` : "its run is being cancelled";
  return [
    reason(`run ${id}`, isTerminal(state) ? "ended" : "cancelling", `${message}; nothing of it starts any more`, {}),
  ];
}

function ownReasons(asked: JobQuestion): WaitReason[] {
  const { job, queue, nowMs } = asked;
  const where = `job ${job.id}`;
  switch (job.state) {
    case "active":
      return activeReasons(asked);
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
      return [
        isGate(queue)
          ? gateReason(where, 1, job.dueAtMs, nowMs)
          : backoffReason(where, job.dueAtMs, nowMs, job.lastFailure),
      ];
    case "waiting-children": {
      const left = job.unprocessedChildren;
      const message = `waits until ${left === 1 ? "1 child has" : `${left} children have`} ended`;
      return [reason(where, "waits-for-children", message, { sinceMs: job.addedAtMs, have: left, need: 0 })];
    }
    default: {
      const reasons = [
        ...noWorkerReasons(asked, runOfJobId(job.id)),
        ...placeReasons(queue, asked.workers),
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
    const message = `runs ${jobsWords(mine.length)} of this run${enforcedWords(mine)}`;
    return [reason(workerWhere(worker), "running", message, { sinceMs })];
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

/** The run is stored and its jobs are nowhere: a scheduler adds them, if one is there. */
function notSubmittedReasons({ status, scan, report, hasScheduler, isEmbedded }: RunQuestion): WaitReason[] {
  if (scan !== undefined || report !== undefined || status.progress.isScanned) return [];
  const why = "the run is stored, but its jobs are not in Redis; its producer may have ended before it added them";
  const scheduler = hasScheduler
    ? "the scheduler is about to add them"
    : `no scheduler is at work that would add them${isEmbedded ? "" : "; start one with: headroom scheduler"}`;
  const details = hasScheduler ? {} : { need: "a scheduler", have: "none" };
  return [
    reason(`run ${status.id}`, "not-submitted", `${why}; ${scheduler}`, { sinceMs: status.createdAtMs, ...details }),
  ];
}

/** The scan that goes on, or what holds the scan or the report of the run back in its own queue. */
function controlReasons(asked: RunQuestion): WaitReason[] {
  const { status, scan, report, control, workers, openJobs } = asked;
  const isLost = asked.lostJobs.some(({ jobs }) => jobs.some(({ id }) => id === scan?.id));
  if (scan?.state === "active" && !isLost) {
    const message = `the scan goes on, ${status.counts.total} files so far`;
    return [reason(`run ${status.id}`, "scanning", message, { sinceMs: scan.startedAtMs })];
  }
  const isReportNext = openJobs === 0 && report !== undefined && isInQueue(report);
  const queue = isPending(scan) && isInQueue(scan) ? control.scan : isReportNext ? control.report : undefined;
  if (queue === undefined) return [];
  const held = heldReasons(queue, workers);
  return held.length === 0 ? [] : [...held, idleReason(asked)];
}

/** Chunks of other runs may wait in the same queues: they say nothing of a run that has none yet. */
function chunkReasons({ status, scan, openJobs, queues, workers, nowMs }: RunQuestion): WaitReason[] {
  if (openJobs <= (isPending(scan) ? 1 : 0)) return [];
  // A paused queue in which nothing is holds nobody back.
  const inUse = queues.filter(({ waiting, active, delayed }) => waiting + active + delayed > 0);
  // Each node of a flow asks for labels of its own.
  const isFlow = status.spec.executor === "flow";
  return [
    ...(isFlow ? [] : labelReasons(workers, status.spec.resources.labels)),
    ...inUse.flatMap((queue) => [
      ...(isFlow ? placeReasons(queue, workers) : queue.waiting > 0 ? tooLargeReasons(queue, workers) : []),
      ...queueReasons(queue, workers, nowMs),
    ]),
  ];
}

function isPending(job: JobFacts | undefined): job is JobFacts {
  return job !== undefined && job.state !== "completed" && job.state !== "failed";
}

function isInQueue({ state }: JobFacts): boolean {
  return state === "waiting" || state === "prioritized" || state === "paused";
}

/** That no worker can take the jobs of a queue. */
export function placeReasons(queue: QueueFacts, workers: readonly WorkerHeartbeat[]): WaitReason[] {
  if (queue.waiting === 0) return [];
  return [...labelReasons(workers, queue.labels), ...tooLargeReasons(queue, workers)];
}

/** That a queue is paused, or why each worker leaves it. */
function heldReasons(queue: QueueFacts, workers: readonly WorkerHeartbeat[]): WaitReason[] {
  if (!queue.isPaused) return [...keptRoomReasons(queue, workers), ...leavingReasons(queue, workers)];
  return [
    reason(
      `queue ${queue.name}`,
      "queue-paused",
      `the queue is paused; to let it go on: headroom queues resume ${queue.name}`,
      {},
    ),
  ];
}

/** Why the head of a queue is not claimed. */
export function queueReasons(queue: QueueFacts, workers: readonly WorkerHeartbeat[], nowMs: number): WaitReason[] {
  const where = `queue ${queue.name}`;
  if (queue.isPaused) return heldReasons(queue, workers);
  const reasons: WaitReason[] = [];
  if (queue.waiting > 0) {
    reasons.push(...heldReasons(queue, workers));
    const message = `${jobsWords(queue.waiting)} waiting, ${jobsWords(queue.active)} running`;
    reasons.push(reason(where, "queued-behind", message, { have: queue.active, need: queue.waiting + queue.active }));
  }
  if (queue.delayed > 0 && isGate(queue)) {
    reasons.push(gateReason(where, queue.delayed, queue.nextDelayedAtMs, nowMs));
  } else if (queue.delayed > 0) {
    const message = `${jobsWords(queue.delayed)} waiting for another try`;
    const later = backoffReason(where, queue.nextDelayedAtMs, nowMs, queue.lastFailure);
    reasons.push({ ...later, message: `${message}; the first one: ${later.message}` });
  }
  return reasons;
}

/** Who runs a job, or that whoever did is lost. */
function activeReasons(asked: JobQuestion): WaitReason[] {
  const { job, workers, lost, nowMs } = asked;
  const holds = (worker: WorkerHeartbeat) => worker.running.find((running) => running.jobId === job.id);
  for (const worker of workers) {
    const held = holds(worker);
    if (held === undefined) continue;
    const message = `runs here${enforcedWords([held])}`;
    return [reason(workerWhere(worker), "running", message, { sinceMs: held.sinceMs })];
  }
  const none = noWorkerReasons(asked, runOfJobId(job.id));
  const lostHere = lost.find((worker) => holds(worker) !== undefined);
  if (lostHere !== undefined) return [...none, lostReason(lostHere, 1, { nowMs, ...lockEta([job]) })];
  const message = "a worker holds the job, but no heartbeat names it (yet); a lost job goes back to the queue";
  return [...none, reason(`job ${job.id}`, "running", message, { sinceMs: job.startedAtMs, ...lockEta([job]) })];
}

/** When the locks of these jobs have run out. */
function lockEta(jobs: readonly JobFacts[]): { etaMs?: number } {
  const left = jobs.flatMap(({ lockLeftMs }) => lockLeftMs ?? []);
  return left.length === 0 ? {} : { etaMs: Math.max(...left) };
}

/** What is delayed there waits for a person. */
function isGate({ name }: Pick<QueueFacts, "name">): boolean {
  return name.startsWith("fork.");
}

function gateReason(where: string, gates: number, dueAtMs: number | null, nowMs: number): WaitReason {
  const message = `${gates === 1 ? "a gate waits" : `${gates} gates wait`} for an answer: headroom gates RUN`;
  return reason(where, "waits-for-answer", message, dueAtMs === null ? {} : { etaMs: Math.max(0, dueAtMs - nowMs) });
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
  if (isPending(scan)) {
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
