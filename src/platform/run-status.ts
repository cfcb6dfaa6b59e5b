/** The status of runs: the store's record, with the live counters of Redis and the workers' heartbeats on top. */
import type { Redis } from "ioredis";
import { isTerminal, runStates, type RunState } from "../contract/outcomes.ts";
import { keys } from "../contract/queues.ts";
import { noFiles, type FileCounts, type RunRecord } from "../contract/run-record.ts";
import type { RunProgress, RunStatus, WorkerHeartbeat } from "../contract/status.ts";
import { isAlive } from "./worker-heartbeats.ts";

/** What the hash of a run in Redis says. */
export interface LiveFigures {
  readonly state: RunState | undefined;
  readonly counts: FileCounts;
  /** Of the succeeded files, those whose earlier result still held. */
  readonly reusedFiles: number;
  readonly chunks: number;
  readonly isScanned: boolean;
  readonly startedAtMs: number | null;
}

const liveFields = [
  "state",
  "total",
  "succeeded",
  "failed",
  "skipped",
  "cancelled",
  "quarantined",
  "reused",
  "chunks",
  "scanned",
  "startedAtMs",
] as const;
type LiveFields = Readonly<Partial<Record<(typeof liveFields)[number], string | null>>>;

/** The live counters of these runs, in order; undefined where Redis holds none (any more). */
export async function loadLiveFigures(
  redis: Redis,
  prefix: string,
  runIds: readonly string[],
): Promise<(LiveFigures | undefined)[]> {
  // ioredis sends the commands of one tick together, so a page of runs costs one round trip.
  const rows = await Promise.all(runIds.map((id) => redis.hmget(keys.run(prefix, id), ...liveFields)));
  return rows.map((row) =>
    parseLiveFigures(Object.fromEntries(liveFields.map((field, at) => [field, row[at] ?? null]))),
  );
}

/** The live counters in the fields of a run's hash; undefined when none of them is there. */
function parseLiveFigures(fields: LiveFields): LiveFigures | undefined {
  if (Object.values(fields).every((value) => value === null)) return undefined;
  return {
    state: runStates.find((state) => state === fields.state),
    counts: {
      total: toCount(fields.total),
      succeeded: toCount(fields.succeeded),
      failed: toCount(fields.failed),
      skipped: toCount(fields.skipped),
      cancelled: toCount(fields.cancelled),
      quarantined: toCount(fields.quarantined),
    },
    reusedFiles: toCount(fields.reused),
    chunks: toCount(fields.chunks),
    isScanned: fields.scanned === "1",
    startedAtMs: fields.startedAtMs == null ? null : toCount(fields.startedAtMs),
  };
}

/** Puts a run's status together. An ended run is told by its record alone: the counters in Redis may be gone. */
export function runStatusOf(
  run: RunRecord,
  live: LiveFigures | undefined,
  workers: readonly WorkerHeartbeat[],
  nowMs: number,
): RunStatus {
  const counted = live?.counts ?? noFiles;
  if (isTerminal(run.state)) return statusOf(run, run.counts ?? counted, live, endedProgress(run, live));
  const going: RunRecord = {
    ...run,
    // The counters move before the record does: while nothing has ended, they know the state best.
    state: laterState(run.state, live?.state),
    startedAtMs: run.startedAtMs ?? live?.startedAtMs ?? null,
  };
  const { isScanned, reusedFiles } = live ?? { isScanned: false, reusedFiles: 0 };
  const alive = workers.filter((worker) => isAlive(worker, nowMs));
  const runningJobs = runningJobsOf(alive, run.id);
  return statusOf(going, counted, live, { isScanned, endMs: nowMs, runningJobs, reusedFiles });
}

interface ProgressFacts {
  readonly isScanned: boolean;
  readonly endMs: number | null;
  readonly runningJobs: number;
  readonly reusedFiles: number;
}

function endedProgress(run: RunRecord, live: LiveFigures | undefined): ProgressFacts {
  const reusedFiles = (run.report?.epoch === run.epoch ? run.report.reused : live?.reusedFiles) ?? 0;
  return { isScanned: true, endMs: run.endedAtMs, runningJobs: 0, reusedFiles };
}

function statusOf(run: RunRecord, counts: FileCounts, live: LiveFigures | undefined, facts: ProgressFacts): RunStatus {
  const done = doneFiles(counts);
  const rate = progressRate(ranFiles(counts, facts.reusedFiles), run.startedAtMs, facts.endMs);
  return {
    ...run,
    counts,
    progress: {
      chunks: live?.chunks ?? 0,
      isScanned: facts.isScanned,
      doneFiles: done,
      doneRatio: facts.isScanned ? ratio(done, counts.total) : null,
      ...rate,
      remainingSeconds: remainingSeconds(counts, rate.filesPerSecond, facts.isScanned),
      runningJobs: facts.runningJobs,
    },
  };
}

/** How many jobs of the run the workers hold. */
function runningJobsOf(workers: readonly WorkerHeartbeat[], runId: string): number {
  return workers.reduce((sum, worker) => sum + worker.running.filter((job) => job.runId === runId).length, 0);
}

/** Files that have an outcome. */
function doneFiles(counts: FileCounts): number {
  return counts.succeeded + counts.failed + counts.skipped + counts.cancelled + counts.quarantined;
}

/** Files on which work was done: a thousand that a cancel puts aside, or whose result still held, in a moment are no speed. */
function ranFiles(counts: FileCounts, reusedFiles: number): number {
  return Math.max(0, counts.succeeded + counts.failed + counts.quarantined - reusedFiles);
}

function laterState(recorded: RunState, live: RunState | undefined): RunState {
  return live === undefined || recorded === "cancelling" || isTerminal(live) ? recorded : live;
}

function progressRate(
  done: number,
  startedAtMs: number | null,
  endMs: number | null,
): Pick<RunProgress, "elapsedSeconds" | "filesPerSecond"> {
  if (startedAtMs === null || endMs === null) return { elapsedSeconds: null, filesPerSecond: null };
  const elapsedSeconds = Math.max(0, endMs - startedAtMs) / 1_000;
  return { elapsedSeconds, filesPerSecond: elapsedSeconds > 0 ? done / elapsedSeconds : null };
}

function remainingSeconds(counts: FileCounts, filesPerSecond: number | null, isScanned: boolean): number | null {
  const left = counts.total - doneFiles(counts);
  if (!isScanned || filesPerSecond === null || filesPerSecond <= 0) return null;
  return Math.max(0, left) / filesPerSecond;
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 1 : Math.min(1, part / whole);
}

function toCount(text: string | null | undefined): number {
  const value = Number(text ?? 0);
  return Number.isFinite(value) ? value : 0;
}
