/** The objects that programs read from `--json`. Their names are a promise. */
import type { FileCounts, FailureGroup, RunRecord } from "../contract/run-record.ts";
import type { RunState } from "../contract/outcomes.ts";
import type { RunStatus } from "../contract/status.ts";

/** The one object that `run --json` prints at the end. */
export interface RunJson {
  readonly id: string;
  readonly state: RunState;
  readonly files: FileCounts;
  readonly durationSeconds: number;
  readonly filesPerSecond: number;
  readonly failures: readonly FailureGroup[];
  readonly output: string;
}

export function runJson(run: RunStatus): RunJson {
  const { report, progress } = run;
  const { total, succeeded, failed, skipped, cancelled, quarantined } = run.counts;
  return {
    id: run.id,
    state: run.state,
    files: { total, succeeded, failed, skipped, cancelled, quarantined },
    durationSeconds: report?.durationSeconds ?? progress.elapsedSeconds ?? 0,
    filesPerSecond: report?.filesPerSecond ?? progress.filesPerSecond ?? 0,
    failures: report?.failures ?? [],
    output: run.spec.output.root,
  };
}

/** One run in the list of `runs --json`. */
export function listedRunJson(run: RunRecord): object {
  return {
    id: run.id,
    state: run.state,
    name: run.spec.name ?? null,
    epoch: run.epoch,
    createdAt: isoTime(run.createdAtMs),
    startedAt: isoTime(run.startedAtMs),
    endedAt: isoTime(run.endedAtMs),
    command: run.spec.command,
    input: run.spec.input.root,
    output: run.spec.output.root,
    files: run.counts,
    message: run.message,
  };
}

/** A run with its live figures: `status RUN --json`. */
export function statusJson(run: RunStatus): object {
  return { ...listedRunJson(run), files: run.counts, progress: run.progress, report: run.report };
}

function isoTime(atMs: number | null): string | null {
  return atMs === null ? null : new Date(atMs).toISOString();
}
