/**
 * The tables, one shape for both engines. Paths are kept in the form of `printablePath`, other texts cleaned (see
 * `stored-text.ts`), lists and objects as JSON text, times as milliseconds since 1970.
 */
import type { Kysely, Transaction } from "kysely";
import type { AttemptEnd } from "../contract/files.ts";
import type { FailureClass, Outcome, RunState } from "../contract/outcomes.ts";
import type { ScheduleSource, StartState } from "../contract/schedules.ts";

export interface RunsTable {
  id: string;
  state: RunState;
  epoch: number;
  spec: string;
  created_at_ms: number;
  /** When the present epoch began to wait. */
  queued_at_ms: number;
  started_at_ms: number | null;
  ended_at_ms: number | null;
  counts: string | null;
  message: string | null;
  idempotency_key: string | null;
  report: string | null;
  /** Set first when retention takes the run: from then on nobody sees it, and its rows go in small steps. */
  deleted_at_ms: number | null;
}

export interface FileResultsTable {
  run_id: string;
  path: string;
  /** The epoch that the row belongs to. */
  epoch: number;
  /** The epoch that ran the file: an older one when the row was reused. */
  ran_epoch: number;
  file_index: number;
  outcome: Outcome;
  failure_class: FailureClass | null;
  message: string | null;
  exit_code: number | null;
  signal: string | null;
  attempts: number;
  started_at_ms: number | null;
  duration_ms: number | null;
  cpu_ms: number | null;
  peak_bytes: number | null;
  input_bytes: number | null;
  input_sha256: string | null;
  binary_sha256: string | null;
  args_sha256: string | null;
  output_path: string | null;
  output_bytes: number | null;
  output_sha256: string | null;
  log: string | null;
  worker_id: string | null;
  /** What a model said: the likeliest label, its confidence, and all of it. */
  label: string | null;
  confidence: number | null;
  inference: string | null;
  /** What an agent used. */
  agent: string | null;
  /** What an agent printed, where that is not its output. */
  transcript: string | null;
}

export interface AttemptsTable {
  run_id: string;
  path: string;
  epoch: number;
  at_ms: number;
  attempt: number;
  kind: AttemptEnd;
  /** Empty for no worker: it is part of the key, which makes a repeated write harmless. */
  worker_id: string;
  failure_class: FailureClass | null;
  message: string | null;
  duration_ms: number | null;
  output_sha256: string | null;
}

interface InputPagesTable {
  run_id: string;
  page: number;
  paths: string;
}

interface LearnedClassesTable {
  class_key: string;
  at_ms: number;
  state: string;
}

export interface SchedulesTable {
  name: string;
  spec: string;
  source: ScheduleSource;
  /** 0 or 1. */
  is_paused: number;
  created_at_ms: number;
  updated_at_ms: number;
  revision: number;
  settled_ms: number;
  /** Token of the last term in which a leader wrote here: one of an earlier term writes no more. */
  term: number;
}

export interface ScheduleStartsTable {
  schedule: string;
  time_ms: number;
  state: StartState;
  /** 0 or 1. */
  is_backfill: number;
  run_id: string | null;
  message: string | null;
  at_ms: number;
  term: number;
}

interface PlansTable {
  sha256: string;
  plan: string;
  origin: string | null;
  /** When it was made or started last. */
  at_ms: number;
}

export interface Schema {
  runs: RunsTable;
  file_results: FileResultsTable;
  attempts: AttemptsTable;
  input_pages: InputPagesTable;
  learned_classes: LearnedClassesTable;
  plans: PlansTable;
  schedules: SchedulesTable;
  schedule_starts: ScheduleStartsTable;
}

export type StoreQueries = Kysely<Schema>;
export type StoreTransaction = Transaction<Schema>;
