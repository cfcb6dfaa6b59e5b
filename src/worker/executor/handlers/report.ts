/** Ends a run: counts, percentiles and failures from the store, the final state, the clean-up in Redis. */
import type { Redis } from "ioredis";
import { createHash } from "node:crypto";
import { messageOf } from "../../../contract/errors.ts";
import { isTerminal, type RunState } from "../../../contract/outcomes.ts";
import { keys } from "../../../contract/queues.ts";
import type { FileCounts, RunReport } from "../../../contract/run-record.ts";
import type { Clock } from "../../../platform/clock.ts";
import type { LiveRun, RunHash } from "../../../platform/run-hash.ts";
import type { Logger } from "../../../platform/logger.ts";
import type { Store } from "../../../store/store.ts";
import type { RunCache } from "../../run-cache.ts";
import type { Handler } from "../executor.ts";

export interface ReportDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly store: Store;
  readonly runs: RunCache;
  readonly hash: RunHash;
  readonly clock: Clock;
  readonly logger: Logger;
  onEnded(state: RunState): void;
}

const FAILURE_GROUPS = 50;
const ARTIFACT_EXAMPLES = 20;

export function createReportHandler(deps: ReportDeps): Handler<"report"> {
  return async ({ runId, epoch }) => {
    const run = await deps.runs.load(runId, epoch);
    await deps.runs.ensureRow(run);
    const record = await deps.store.runs.get(runId);
    if (record === undefined || record.epoch !== epoch || isTerminal(record.state)) return;
    const live = await deps.redis.hmget(keys.run(deps.kp, runId), "state", "startedAtMs", "broken", "message");
    const [liveState, startedAtMs, broken, message] = live;
    const report = await summarize(deps, run, {
      startedAtMs: Number(startedAtMs ?? run.createdAtMs),
      broken: broken ?? undefined,
      isCancelled: liveState === "cancelling",
    });
    const why = broken ?? message;
    await deps.store.runs.move(runId, ["queued", "running", "cancelling"], report.state, {
      startedAtMs: report.startedAtMs,
      endedAtMs: report.endedAtMs,
      counts: report.files,
      report,
      ...(why == null ? {} : { message: why }),
    });
    await releaseOutput(deps, run);
    const { total, succeeded, failed, skipped, cancelled, quarantined } = report.files;
    const counts = { total, succeeded, failed, skipped, cancelled, quarantined };
    await deps.hash.move(runId, ["queued", "running", "cancelling"], report.state, {
      ...counts,
      endedAtMs: report.endedAtMs,
    });
    deps.onEnded(report.state);
    deps.logger.info(
      { runId, state: report.state, files: report.files, durationSeconds: report.durationSeconds },
      "run ended",
    );
  };
}

/** The state that a run ends in. */
export function decideEndState(counts: FileCounts, why: { isCancelled: boolean; isBroken: boolean }): RunState {
  if (why.isBroken) return "broken";
  if (why.isCancelled) return "cancelled";
  return counts.failed + counts.quarantined + counts.cancelled > 0 ? "failed" : "succeeded";
}

async function summarize(
  deps: ReportDeps,
  run: LiveRun,
  live: { startedAtMs: number; broken: string | undefined; isCancelled: boolean },
): Promise<RunReport> {
  const { runId, epoch, spec } = run;
  const [files, figures, failures, examples] = await Promise.all([
    deps.store.files.counts(runId, epoch),
    deps.store.files.figures(runId, epoch),
    deps.store.files.failureGroups(runId, epoch, FAILURE_GROUPS),
    deps.store.files.artifacts(runId, epoch, ARTIFACT_EXAMPLES),
  ]);
  const endedAtMs = deps.clock.nowMs();
  const durationSeconds = Math.max(0, endedAtMs - live.startedAtMs) / 1_000;
  return {
    id: runId,
    name: spec.name ?? null,
    state: decideEndState(files, { isCancelled: live.isCancelled, isBroken: live.broken !== undefined }),
    epoch,
    command: spec.command,
    input: spec.input.root,
    output: spec.output.root,
    startedAtMs: live.startedAtMs,
    endedAtMs,
    files,
    durationSeconds,
    filesPerSecond: durationSeconds > 0 ? Math.round((files.total / durationSeconds) * 100) / 100 : 0,
    ...figures,
    failures,
    artifacts: { ...figures.artifacts, examples },
  };
}

/** Gives the output folder free for other runs, if this one holds it. */
async function releaseOutput(deps: ReportDeps, run: LiveRun): Promise<void> {
  const key = keys.outputLock(deps.kp, createHash("sha256").update(run.spec.output.root).digest("hex"));
  try {
    if ((await deps.redis.get(key)) === run.runId) await deps.redis.del(key);
  } catch (error) {
    // The next run over this folder finds a lock whose run has ended, and takes it over.
    deps.logger.warn({ runId: run.runId, err: messageOf(error) }, "output folder could not be released");
  }
}
