/** What outlives a job. One interface, two engines (SQLite, PostgreSQL), one conformance suite. */
import type { AttemptRecord, FileResult } from "../contract/files.ts";
import type { FlowPlan } from "../contract/flow-plan.ts";
import type { InferenceQuery } from "../contract/inference.ts";
import type { LineResult } from "../contract/result-line.ts";
import type { Outcome, RunState } from "../contract/outcomes.ts";
import type {
  Artifact,
  FailureGroup,
  FileCounts,
  LabelCount,
  OpenRun,
  RunRecord,
  RunReport,
} from "../contract/run-record.ts";
import type { WriteFault } from "../contract/store-faults.ts";
import type { RunSpec } from "../contract/run-spec.ts";
import type { PlanOrigin } from "../contract/stored-plan.ts";
import type { ScheduleRecord, ScheduleSource, ScheduleSpec, ScheduleStart, StartState } from "../contract/schedules.ts";

export interface NewRun {
  readonly id: string;
  readonly spec: RunSpec;
  readonly createdAtMs: number;
  readonly idempotencyKey?: string;
}

export interface FileQuery {
  readonly outcome?: Outcome;
  /** Part of a path or of a message, case-insensitive; `%` and `_` mean themselves. */
  readonly search?: string;
  /** Rows after this path, in path order. */
  readonly afterPath?: string;
  readonly limit: number;
}

/** A result that the manifest did not take, because a row of the same or a newer epoch holds the path already. */
export interface RefusedResult {
  readonly path: string;
  /** Who wrote the row that holds the path. */
  readonly workerId: string | null;
}

/** What the store logs through; any logger of the house fits. */
export interface StoreLogger {
  warn(fields: object, text: string): void;
}

export interface Store extends AsyncDisposable {
  readonly kind: "sqlite" | "postgres";
  /** Applies all migrations; safe when several processes call it at once. */
  migrate(): Promise<void>;
  /** Answers within a short time, or throws InfrastructureError. */
  ping(): Promise<void>;
  /** Calls `listener` for each write that the database refused though it answers: it is full, or may not be written. */
  onWriteFault(listener: (fault: WriteFault) => void): void;
  close(): Promise<void>;

  readonly runs: RunTable;
  readonly files: FileTable;
  readonly inputs: InputPages;
  readonly learned: LearnedTable;
  readonly plans: PlanTable;
  readonly schedules: ScheduleTable;
  /** Deletes runs that ended before this time with all that hangs on them; their ids, at most `limit`. */
  deleteRunsEndedBefore(timeMs: number, limit: number): Promise<string[]>;
}

export interface RunTable {
  /** The run, or the earlier one of the same idempotency key or id (then `created` is false). */
  create(run: NewRun): Promise<{ run: RunRecord; created: boolean }>;
  get(id: string): Promise<RunRecord | undefined>;
  findByIdempotencyKey(key: string): Promise<RunRecord | undefined>;
  /** Newest first. `before` is the id of the last run of the page before. @throws {NotFoundError} when that is unknown. */
  list(query: { limit: number; before?: string; states?: readonly RunState[] }): Promise<RunRecord[]>;
  /** Runs that have not ended, in order of their ids, after this one. */
  open(query: { limit: number; afterId?: string }): Promise<OpenRun[]>;
  /** Moves the run if it is in one of `from`; whether it did. */
  move(id: string, from: readonly RunState[], to: RunState, change: RunChange): Promise<boolean>;
  /** Starts a new epoch of an ended run: state `queued`, epoch + 1, report kept until the new one. Undefined when it had not ended. */
  reopen(id: string, spec: RunSpec, atMs: number): Promise<RunRecord | undefined>;
}

export interface RunChange {
  readonly startedAtMs?: number;
  readonly endedAtMs?: number;
  readonly message?: string;
  readonly counts?: FileCounts;
  readonly report?: RunReport;
}

export interface FileTable {
  /**
   * Writes results in one transaction; exactly one row per (run, path). A row of an older epoch is replaced; within an
   * epoch `succeeded` is final and any other outcome gives way to a later result. Returns what was refused. The very
   * same result a second time is not refused, so a call that got no answer may be repeated.
   * @throws {NotFoundError} when there is no such run.
   */
  record(runId: string, epoch: number, results: readonly FileResult[]): Promise<RefusedResult[]>;
  /**
   * Marks rows of an older epoch as belonging to this one: their input, binary and arguments are the same. Only the place
   * of the input may be another.
   */
  reuse(runId: string, epoch: number, files: readonly Pick<FileResult, "path" | "index">[]): Promise<void>;
  /** Rows of any epoch for these paths, in the order of the paths; unknown paths and repetitions are left out. */
  get(runId: string, paths: readonly string[]): Promise<(FileResult & { readonly epoch: number })[]>;
  /** The highest number of an input among the rows of any epoch; undefined when there are none. */
  lastIndex(runId: string): Promise<number | undefined>;
  /** Adds attempts; one that is there already is left alone, so a call that got no answer may be repeated. */
  addAttempts(runId: string, epoch: number, attempts: readonly AttemptRecord[]): Promise<void>;
  /** Oldest first. */
  attempts(
    runId: string,
    query: { limit: number; path?: string },
  ): Promise<(AttemptRecord & { readonly epoch: number })[]>;
  page(runId: string, epoch: number, query: FileQuery): Promise<FileResult[]>;
  /** All rows of an epoch in path order, streamed in pages. */
  all(runId: string, epoch: number): AsyncIterable<FileResult>;
  /** What models said of all files of an epoch, and what became of the others, in path order; the next page is read ahead. */
  lines(runId: string, epoch: number): AsyncIterable<LineResult>;
  counts(runId: string, epoch: number): Promise<FileCounts>;
  failureGroups(runId: string, epoch: number, limit: number): Promise<FailureGroup[]>;
  /** The figures of a report that are aggregates over rows. */
  figures(runId: string, epoch: number): Promise<FileFigures>;
  artifacts(runId: string, epoch: number, limit: number): Promise<Artifact[]>;
  /** Files of which a model said something, in path order. */
  inferences(runId: string, epoch: number, query: InferenceQuery): Promise<FileResult[]>;
  /** How many files have each label, the most frequent first. */
  labels(runId: string, epoch: number, limit: number): Promise<LabelCount[]>;
}

/**
 * Durations, peak, time, bytes and slowest are those of the files that this epoch ran; artifacts those of all its
 * succeeded files, the reused ones included.
 */
export type FileFigures = Pick<
  RunReport,
  "durationMs" | "peakBytes" | "cpuSeconds" | "inputBytes" | "outputBytes" | "retries" | "fenced" | "slowest" | "reused"
> & { readonly artifacts: { readonly count: number; readonly bytes: number } };

/** What was learned of one class: the fields of its hash as JSON. */
export interface SavedClass {
  readonly key: string;
  readonly atMs: number;
  readonly state: string;
}

/** What was learned, as it stood when it was saved last. */
export interface LearnedTable {
  /** Writes classes in the place of those of the same key, and deletes all whose key is not in `keep`. */
  save(classes: readonly SavedClass[], keep: readonly string[]): Promise<void>;
  load(): Promise<SavedClass[]>;
}

/** A plan of a flow. */
export interface KeptPlan {
  /** What the flow is known by (`planHash`). */
  readonly sha256: string;
  /** Canonical. */
  readonly plan: FlowPlan;
  /** Of one that a planner made: where it came from. */
  readonly origin: PlanOrigin | null;
}

/** Plans by their hashes: those that were started, and those that planners made. */
export interface PlanTable {
  /** Keeps a plan, or notes that it is used again. */
  keep(plan: KeptPlan, atMs: number): Promise<void>;
  get(sha256: string): Promise<KeptPlan | undefined>;
  /** Deletes plans that were made and started before this time; how many. */
  deleteUnusedSince(timeMs: number): Promise<number>;
}

/** A schedule that is declared or changed. */
export interface ScheduleChange {
  readonly spec: ScheduleSpec;
  readonly source: ScheduleSource;
  readonly isPaused: boolean;
  readonly nowMs: number;
  /** Times up to this one are not looked at any more; undefined leaves it as it is. */
  readonly settledMs?: number;
}

/** The schedule as a leader saw it, and the term in which it writes. */
export interface ScheduleFence {
  readonly name: string;
  readonly revision: number;
  readonly term: number;
}

/** The first times of a schedule that are due. */
export interface DueHead {
  readonly name: string;
  readonly timeMs: number;
  readonly isBackfill: boolean;
}

/** What becomes of a time that is due. */
export interface StartEnd {
  readonly state: StartState;
  readonly runId?: string;
  readonly message?: string;
}

/**
 * Schedules, and what became of their times. What a leader writes carries the token of its term, and a row that a later
 * term has written to refuses it: a leader that was stopped and wakes late changes nothing.
 */
export interface ScheduleTable {
  /** In order of their names. */
  list(): Promise<ScheduleRecord[]>;
  get(name: string): Promise<ScheduleRecord | undefined>;
  /** Writes a schedule, unless there is one of this name; whether it did. */
  create(name: string, change: ScheduleChange): Promise<boolean>;
  /** Writes over a schedule of this revision; whether it did. */
  change(name: string, revision: number, change: ScheduleChange): Promise<boolean>;
  /** Deletes a schedule and what became of its times; whether there was one. Its runs stay. */
  remove(name: string): Promise<boolean>;
  /** Notes times and how far they are settled, all or nothing; whether it did. Times that are noted already stay. */
  settle(fence: ScheduleFence, settledMs: number, starts: readonly ScheduleStart[]): Promise<boolean>;
  /** Makes times due that were not, or whose run was skipped or refused; how many. */
  backfill(name: string, times: readonly number[], nowMs: number): Promise<number>;
  /** Of each schedule the first time that is due, and the first to be filled in. */
  dueHeads(): Promise<DueHead[]>;
  /** How many times of the schedule are due. */
  countDue(name: string): Promise<number>;
  /** Says what became of a time that was due; whether it still was. */
  mark(fence: Pick<ScheduleFence, "name" | "term">, timeMs: number, end: StartEnd & { atMs: number }): Promise<boolean>;
  /** What became of times, the latest first. */
  starts(name: string, limit: number): Promise<ScheduleStart[]>;
  /** Those that were started last, the last first. */
  lastStarted(name: string, limit: number): Promise<ScheduleStart[]>;
  /** Deletes all but the last `keep` times that are not due; how many. */
  trim(name: string, keep: number): Promise<number>;
}

/** Input lists that came from a producer: pages of paths (see FileEntry for their encoding), read in order. */
export interface InputPages {
  /** Writes a page; the same page again takes the place of the first. */
  append(runId: string, page: number, paths: readonly string[]): Promise<void>;
  /** Leaves the first so many pages, and deletes those that a longer list had. */
  truncate(runId: string, pages: number): Promise<void>;
  pages(runId: string): AsyncIterable<readonly string[]>;
}
