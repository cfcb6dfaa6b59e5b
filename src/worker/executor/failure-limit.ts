/** How many files of a run may fail before the run is cancelled. */
import type { Redis } from "ioredis";
import type { RunSpec } from "../../contract/run-spec.ts";
import { requestCancel } from "../../platform/cancel-run.ts";
import type { LiveRun, RunHash } from "../../platform/run-hash.ts";

/** A share is taken of so many files at least while the scan still counts: the first failures are no share of anything. */
const SCANNING_FILES = 1_000;

interface FailureCount {
  readonly failed: number;
  /** Files that were found so far. */
  readonly total: number;
  /** Whether there are no more. */
  readonly isScanned: boolean;
}

/** Why a run has to end because of its failures; undefined while it may go on. Pure. */
export function failureFault(limit: RunSpec["maxFailures"], count: FailureCount): string | undefined {
  if (limit === undefined) return undefined;
  const { failed, total, isScanned } = count;
  const files = isScanned ? total : Math.max(SCANNING_FILES, total);
  const most = limit.unit === "files" ? limit.value : (limit.value / 100) * files;
  if (failed <= most) return undefined;
  const share = isScanned ? `${files} files` : `${files} files, while more are looked for`;
  const what = limit.unit === "files" ? String(limit.value) : `${limit.value} % of ${share}`;
  return `expected failed files to be at most ${what}, found ${failed}`;
}

/** Cancels a run of which more files have failed than may. */
export async function checkMaxFailures(
  deps: { readonly redis: Redis; readonly hash: RunHash; readonly kp: string },
  { runId, spec }: LiveRun,
): Promise<void> {
  if (spec.maxFailures === undefined) return;
  const { failed, quarantined, total } = await deps.hash.counters(runId);
  const isScanned = await deps.hash.isScanned(runId);
  const fault = failureFault(spec.maxFailures, { failed: failed + quarantined, total, isScanned });
  if (fault !== undefined) await requestCancel(deps, runId, fault);
}
