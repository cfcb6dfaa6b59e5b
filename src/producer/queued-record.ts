/** The record of a run that no worker has begun. */
import type { RunRecord } from "../contract/run-record.ts";
import type { LoadedRun } from "../platform/run-hash.ts";

/** Nothing is known of it but what was asked for. */
export function queuedRecord(run: Pick<RunRecord, "id" | "spec" | "createdAtMs" | "epoch">): RunRecord {
  return {
    ...run,
    state: "queued",
    startedAtMs: null,
    endedAtMs: null,
    counts: null,
    message: null,
    idempotencyKey: null,
    report: null,
  };
}

/** The record of a run that only Redis knows, which has no report. */
export function liveRecord({ runId: id, spec, createdAtMs, epoch, ...known }: LoadedRun): RunRecord {
  return { ...queuedRecord({ id, spec, createdAtMs, epoch }), ...known };
}
