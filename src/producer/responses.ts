/** The shapes that the HTTP intake answers with, as schemas: the OpenAPI document is made from them. */
import { z } from "zod";
import { failureClasses, runStates } from "../contract/outcomes.ts";
import { fileResult } from "../contract/files.ts";
import { runSpec } from "../contract/run-spec.ts";
import { scheduleSpec, startStates, type ScheduleStart, type ScheduleStatus } from "../contract/schedules.ts";
import type { FailureGroup, FileCounts, InferenceReport, RunRecord, RunReport } from "../contract/run-record.ts";
import type { ProblemFault } from "../platform/http/problem.ts";
import type { CancelAck, Explanation, RunProgress, RunStatus, WaitReason } from "../contract/status.ts";

/** A whole number from 0. */
export const count = z.int().nonnegative();
/** A moment. */
export const timeMs = z.number().describe("milliseconds since 1970");
export const failureClass = z.enum(failureClasses);

const fileCounts = z.object({
  total: count,
  succeeded: count,
  failed: count,
  skipped: count,
  cancelled: count,
  quarantined: count,
}) satisfies z.ZodType<FileCounts>;

const failureGroup = z.object({
  failureClass: z.union([failureClass, z.literal("none")]),
  message: z.string(),
  files: count,
  examples: z.array(z.string()).readonly(),
  log: z.string().nullable(),
}) satisfies z.ZodType<FailureGroup>;

const artifact = z.object({ path: z.string(), inputPath: z.string(), bytes: count, sha256: z.string() });

const inferenceReport = z.object({
  model: z.string(),
  sha256: z.string().nullable(),
  providers: z.array(z.string()).readonly(),
  refusals: z.array(z.string()).readonly(),
  labels: z.array(z.object({ label: z.string(), files: count })).readonly(),
  results: z.array(z.object({ path: z.string(), bytes: count, sha256: z.string() })).readonly(),
}) satisfies z.ZodType<InferenceReport>;

const runReport = z.object({
  id: z.string(),
  name: z.string().nullable(),
  state: z.enum(runStates),
  epoch: count,
  command: z.array(z.string()).readonly(),
  input: z.string(),
  output: z.string(),
  startedAtMs: timeMs,
  endedAtMs: timeMs,
  files: fileCounts,
  reused: count,
  durationSeconds: z.number(),
  filesPerSecond: z.number(),
  durationMs: z.object({ p50: z.number(), p90: z.number(), p99: z.number(), max: z.number() }).nullable(),
  peakBytes: z.number().nullable(),
  cpuSeconds: z.number(),
  inputBytes: z.number(),
  outputBytes: z.number(),
  retries: z.partialRecord(failureClass, count),
  fenced: count,
  failures: z.array(failureGroup).readonly(),
  slowest: z
    .array(z.object({ path: z.string(), durationMs: z.number().nullable(), peakBytes: z.number().nullable() }))
    .readonly(),
  artifacts: z.object({ count, bytes: z.number(), examples: z.array(artifact).readonly() }),
  inference: inferenceReport.optional(),
}) satisfies z.ZodType<RunReport>;

export const runRecord = z.object({
  id: z.string(),
  state: z.enum(runStates),
  epoch: count.describe("0 for the first time, one more for each resume"),
  spec: runSpec,
  createdAtMs: timeMs,
  startedAtMs: timeMs.nullable(),
  endedAtMs: timeMs.nullable(),
  counts: fileCounts.nullable(),
  message: z.string().nullable(),
  idempotencyKey: z.string().nullable(),
  report: runReport.nullable(),
}) satisfies z.ZodType<RunRecord>;

/** What a request for a run is answered with. */
export const startedRun = runRecord.extend({
  warnings: z
    .array(z.string())
    .readonly()
    .describe("what every live worker lacks for its jobs, by the one that comes nearest; empty when one can take them"),
});

const runProgress = z.object({
  chunks: count,
  isScanned: z.boolean().describe("whether counts.total is final"),
  doneFiles: count,
  doneRatio: z.number().nullable(),
  elapsedSeconds: z.number().nullable(),
  filesPerSecond: z.number().nullable(),
  remainingSeconds: z.number().nullable(),
  runningJobs: count,
}) satisfies z.ZodType<RunProgress>;

export const runStatus = runRecord.extend({ counts: fileCounts, progress: runProgress }) satisfies z.ZodType<RunStatus>;

/** A page of runs, newest first. `next` is the value of `before` for the page after; null on the last one. */
export const runPage = z.object({ runs: z.array(runRecord), next: z.string().nullable() });

/** A page of file results, in path order. `next` is the value of `after` for the page after; null on the last one. */
export const filePage = z.object({ files: z.array(fileResult), next: z.string().nullable() });

const figure = z.union([z.string(), z.number()]).nullable();
const waitReason = z.object({
  where: z.string(),
  code: z.string(),
  message: z.string(),
  sinceMs: timeMs.nullable(),
  etaMs: z.number().nullable().describe("milliseconds from now"),
  need: figure,
  have: figure,
}) satisfies z.ZodType<WaitReason>;

export const explanation = z.object({
  subject: z.object({ kind: z.enum(["run", "job", "worker", "profile"]), id: z.string() }),
  state: z.string(),
  reasons: z.array(waitReason).min(1).readonly(),
}) satisfies z.ZodType<Explanation>;

export const cancelAck = z.object({
  runId: z.string(),
  state: z.enum(runStates),
  acknowledged: z.boolean().describe("whether every worker that held a job of the run has let go"),
  stillRunning: count,
}) satisfies z.ZodType<CancelAck>;

const scheduleStart = z.object({
  timeMs: timeMs.describe("the time of the schedule"),
  state: z.enum(startStates),
  isBackfill: z.boolean().describe("filled in, or caught up with"),
  runId: z.string().nullable(),
  message: z.string().nullable().describe("why it was skipped or refused"),
  atMs: timeMs,
  term: z.number().describe("of the leader that wrote this last"),
}) satisfies z.ZodType<ScheduleStart>;

export const scheduleStatus = z.object({
  name: z.string(),
  spec: scheduleSpec,
  source: z.enum(["config", "api"]),
  isPaused: z.boolean(),
  createdAtMs: timeMs,
  updatedAtMs: timeMs,
  revision: count,
  settledMs: timeMs.describe("what became of each time up to this one is known"),
  nextMs: z.array(timeMs).readonly().describe("empty while it is paused"),
  last: z.array(scheduleStart).readonly().describe("the latest first"),
}) satisfies z.ZodType<ScheduleStatus>;

export const scheduleList = z.object({ schedules: z.array(scheduleStatus) });

export const backfillAnswer = z.object({
  times: count.describe("in the range"),
  added: count.describe("to be run, one after the other; the others were started already, or are due"),
});

/** One fault of a request. */
export const problemFault = z.object({
  pointer: z.string().describe("JSON pointer, or ?name for a parameter"),
  detail: z.string(),
  rule: z.string().optional().describe("of the operator, that it is against"),
}) satisfies z.ZodType<ProblemFault>;

export const problem = z
  .object({
    type: z.literal("about:blank"),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string().describe("stable, for programs"),
    errors: z.array(problemFault).optional(),
  })
  .describe("RFC 9457 problem details");
