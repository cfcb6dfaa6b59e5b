/** Ends a run: counts, percentiles and failures from the store, the final state, the clean-up in Redis. */
import { WaitingChildrenError } from "bullmq";
import type { Redis } from "ioredis";
import { messageOf } from "../../../contract/errors.ts";
import { isTerminal, type RunState } from "../../../contract/outcomes.ts";
import { keys } from "../../../contract/queues.ts";
import {
  noFiles,
  type FileCounts,
  type InferenceReport,
  type RunRecord,
  type RunReport,
} from "../../../contract/run-record.ts";
import type { JobQueues } from "../../../platform/job-queues.ts";
import type { Clock } from "../../../platform/clock.ts";
import type { PolicyGate } from "../../../platform/policy-gate.ts";
import type { LiveRun, RunHash } from "../../../platform/run-hash.ts";
import type { Logger } from "../../../platform/logger.ts";
import type { Store } from "../../../store/store.ts";
import type { DraftFile } from "../../result/draft.ts";
import { writeResults } from "../../result/results-file.ts";
import { NOT_REMOVED, removeStaleTemps } from "../../result/publish.ts";
import type { FlowRuns } from "../../flow-runs.ts";
import type { OutputClaims } from "../../output-claims.ts";
import type { RunCache } from "../../run-cache.ts";
import type { Handler } from "../executor.ts";
import { loadFlowEnd, outputsDigest, writeFlowFolder, type FlowEnd } from "./flow-end.ts";

export interface ReportDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly store: Store;
  readonly runs: RunCache;
  readonly hash: RunHash;
  readonly queues: JobQueues;
  readonly gate: PolicyGate;
  readonly claims: OutputClaims;
  readonly flows: FlowRuns;
  readonly clock: Clock;
  readonly logger: Logger;
  onEnded(state: RunState, run: LiveRun): void;
  readonly onReport?: ((report: RunReport) => void) | undefined;
}

/** How often a run is scanned anew because files have no result. */
const MAX_RESCANS = 3;
const FAILURE_GROUPS = 50;
const ARTIFACT_EXAMPLES = 20;
/** Labels that a report counts. */
const LABELS = 100;

export function createReportHandler(deps: ReportDeps): Handler<"report"> {
  return async ({ runId, epoch, traceId }, { job, token }) => {
    const run = await deps.runs.load(runId, epoch);
    await deps.runs.ensureRow(run);
    const record = await deps.store.runs.get(runId);
    if (record?.epoch !== epoch) return;
    const live = await loadLive(deps, run);
    if (!isTerminal(record.state)) {
      if (await isIncomplete(deps, run, live)) {
        await deps.queues.scanAgain({ runId, epoch, traceId }, run.spec);
        if (await job.moveToWaitingChildren(token)) throw new WaitingChildrenError();
      }
      if (run.spec.executor === "flow") await endFlow(deps, run, live);
      await clearLeftovers(deps, run, live);
      const lease = { queue: job.queueName, jobId: job.id ?? "", token };
      const isFlow = run.spec.executor === "flow";
      // Side by side: the store looks up the figures while this process writes lines.
      const [results, facts, flow, outputsSha256] = await Promise.all([
        writeRunResults(deps, run, live, lease),
        loadFacts(deps, run),
        isFlow ? loadFlowEnd(deps, run) : undefined,
        run.spec.parent === undefined ? undefined : outputsDigest(deps, run),
      ]);
      await endInStore(deps, run, { live, flow, lease, results, facts, outputsSha256 });
    }
    // Repeated when a worker was lost after the store was told.
    await endLive(deps, run);
    await tellFlows(deps, run);
    await deps.queues.forgetEndedChildren(run);
  };
}

/** Tells the flow that this run is a node of, and lets go of the one that it is. */
async function tellFlows(deps: ReportDeps, run: LiveRun): Promise<void> {
  const { runId, epoch, spec } = run;
  const ended = spec.parent === undefined ? undefined : await deps.store.runs.get(runId);
  if (ended?.epoch === epoch && isTerminal(ended.state)) await deps.flows.endRun(ended);
  if (spec.executor === "flow") await deps.flows.forget(run);
}

/** Nodes that a cancel kept from their jobs have their outcome too. */
async function endFlow(deps: ReportDeps, run: LiveRun, live: Live): Promise<void> {
  const isOver = live.isCancelled || live.broken !== undefined;
  const flow = deps.flows.of(run);
  if (isOver && (await flow.state.isThere())) {
    const why = live.broken ?? live.timedOut ?? live.message ?? "the run was cancelled before this node started";
    await flow.cancelOpen(why, live.timedOut === undefined ? "cancelled" : "timeout");
  }
}

/** What Redis says of the run now. */
interface Live {
  readonly startedAtMs: number;
  readonly broken: string | undefined;
  readonly message: string | undefined;
  readonly isCancelled: boolean;
  /** A flow that its first failure ends. */
  readonly isFailFast: boolean;
  /** Whether it goes on, as far as Redis says. */
  readonly isOpen: boolean;
  /** The reason, of a flow whose time is over. */
  readonly timedOut: string | undefined;
  /** Files that the scan found; undefined when it did not come to its end. */
  readonly scannedFiles: number | undefined;
  /** Files whose earlier result still held. */
  readonly reusedFiles: number;
}

async function loadLive(deps: ReportDeps, run: LiveRun): Promise<Live> {
  const key = keys.run(deps.kp, run.runId);
  const [state, startedAtMs, broken, message, scanned, total, reused, failFast, timedOut] = await deps.redis.hmget(
    key,
    ...["state", "startedAtMs", "broken", "message", "scanned", "total", "reused", "failFast", "timedOut"],
  );
  return {
    startedAtMs: Number(startedAtMs ?? run.createdAtMs),
    broken: broken ?? undefined,
    message: message ?? undefined,
    isCancelled: state === "cancelling",
    isFailFast: failFast != null,
    isOpen: state === "queued" || state === "running",
    timedOut: timedOut ?? undefined,
    scannedFiles: scanned === "1" ? Number(total ?? 0) : undefined,
    reusedFiles: Number(reused ?? 0),
  };
}

/**
 * Whether files have no row though every chunk has ended, or nobody knows how many there are: a Redis that was killed may
 * lose what it had acknowledged.
 */
async function isIncomplete(deps: ReportDeps, { runId, epoch, spec }: LiveRun, live: Live): Promise<boolean> {
  if (live.isCancelled || live.broken !== undefined) return false;
  // A flow knows its nodes without a scan.
  if (live.scannedFiles === undefined && (!live.isOpen || spec.executor === "flow")) return false;
  const { total } = await deps.store.files.counts(runId, epoch);
  if (live.scannedFiles !== undefined && total >= live.scannedFiles) return false;
  const scans = await deps.redis.hincrby(keys.run(deps.kp, runId), "rescans", 1);
  const missing = live.scannedFiles === undefined ? null : live.scannedFiles - total;
  deps.logger.warn({ runId, missing, scans }, "files have no result though all chunks ended");
  return scans <= MAX_RESCANS;
}

/** Removes what workers that were lost left of this run, when nothing of it runs any more. */
async function clearLeftovers(deps: ReportDeps, run: LiveRun, live: Live): Promise<void> {
  const ended = await deps.queues.endedChildren(run);
  if (ended.length > 0) await deps.redis.del(...ended.map((jobId) => keys.inflight(deps.kp, jobId)));
  // A chunk that is taken out of its queue is not claimed again by a worker that would clear up after the one before.
  if (run.spec.output.from === "none" || !(live.isCancelled || live.broken !== undefined)) return;
  // Nothing was written where nothing may be, so nothing of ours is left there.
  if (deps.gate.writeFault(run.spec.output.root) !== undefined) return;
  try {
    const { left } = await removeStaleTemps(run.spec.output.root, run.runId);
    for (const { path: temp, reason } of left) deps.logger.warn({ runId: run.runId, temp, reason }, NOT_REMOVED);
  } catch (error) {
    deps.logger.warn({ runId: run.runId, err: messageOf(error) }, "temporary files may be left in the output folder");
  }
}

/** What a model said of all files, in one file. Of a run that did not come to its end there is none. */
async function writeRunResults(
  deps: ReportDeps,
  { runId, epoch, spec }: LiveRun,
  live: Live,
  lease: Lease,
): Promise<readonly DraftFile[]> {
  const { from, root } = spec.output;
  if (from !== "results" || live.isCancelled || live.broken !== undefined) return [];
  if (deps.gate.writeFault(root) !== undefined) return [];
  return writeResults({
    ...{ runId, root, token: lease.token, rows: deps.store.files.lines(runId, epoch) },
    mayPublish: () => deps.queues.holdsLock(lease.queue, lease.jobId, lease.token),
  });
}

interface Lease {
  readonly queue: string;
  readonly jobId: string;
  readonly token: string;
}

interface End {
  readonly live: Live;
  readonly lease: Lease;
  readonly flow: FlowEnd | undefined;
  readonly results: readonly DraftFile[];
  readonly facts: Facts;
  /** Of the work of a flow's node. */
  readonly outputsSha256: string | undefined;
}

async function endInStore(deps: ReportDeps, run: LiveRun, end: End): Promise<void> {
  const { live, flow } = end;
  const report = summarize(deps, run, end);
  const why = live.broken ?? live.message ?? report.flow?.badOutput;
  if (flow !== undefined) {
    const { queue, jobId, token } = end.lease;
    await writeFlowFolder(deps, run, {
      ...{ ...flow, report: { ...report, flow: report.flow ?? flow.flow }, message: why ?? null, token },
      mayPublish: () => deps.queues.holdsLock(queue, jobId, token),
    });
  }
  const { startedAtMs, endedAtMs, files: counts } = report;
  await deps.store.runs.move(run.runId, ["queued", "running", "cancelling"], report.state, {
    ...{ startedAtMs, endedAtMs, counts, report },
    ...(why === undefined ? {} : { message: why }),
  });
  deps.onEnded(report.state, run);
  const { state, files, durationSeconds } = report;
  deps.logger.info({ runId: run.runId, state, files, durationSeconds }, "run ended");
}

/** Gives the output folder back and tells followers, from what the store says. */
async function endLive(deps: ReportDeps, run: LiveRun): Promise<void> {
  const record = await deps.store.runs.get(run.runId);
  if (record?.epoch !== run.epoch || !isTerminal(record.state)) return;
  await deps.claims.release(run);
  tellReport(deps, record);
  const { total, succeeded, failed, skipped, cancelled, quarantined } = record.counts ?? noFiles;
  await deps.hash.move(run.runId, ["queued", "running", "cancelling"], record.state, {
    ...{ total, succeeded, failed, skipped, cancelled, quarantined },
    endedAtMs: record.endedAtMs ?? deps.clock.nowMs(),
  });
}

/** A flow has its report in a folder of its own, and what became of its parts too. */
function tellReport({ onReport, logger }: ReportDeps, { id, epoch, spec, report }: RunRecord): void {
  if (report?.epoch !== epoch || spec.executor === "flow" || spec.parent !== undefined) return;
  try {
    onReport?.(report);
  } catch (error) {
    // The run has ended, and the store has its report: a full disk must not keep its followers waiting.
    logger.warn({ err: error, runId: id }, "the files of a report were not written");
  }
}

/** The state that a run ends in. */
export function decideEndState(counts: FileCounts, why: { isCancelled: boolean; isBroken: boolean }): RunState {
  if (why.isBroken) return "broken";
  if (why.isCancelled) return "cancelled";
  return counts.failed + counts.quarantined + counts.cancelled > 0 ? "failed" : "succeeded";
}

/** What the store and Redis know of the files of a run that has ended. */
type Facts = Awaited<ReturnType<typeof loadFacts>>;

async function loadFacts(deps: ReportDeps, { runId, epoch, spec }: LiveRun) {
  const { files } = deps.store;
  const isModel = spec.executor === "infer";
  const [counts, figures, failures, examples, anomalies, notes, labels] = await Promise.all([
    files.counts(runId, epoch),
    files.figures(runId, epoch),
    files.failureGroups(runId, epoch, FAILURE_GROUPS),
    files.artifacts(runId, epoch, ARTIFACT_EXAMPLES),
    deps.hash.anomalies(runId),
    isModel ? deps.hash.modelNotes(runId) : [],
    isModel ? files.labels(runId, epoch, LABELS) : [],
  ]);
  return { counts, figures, failures, examples, anomalies, notes, labels };
}

/** What a model said in all; nothing for other runs. */
function inferenceOf({ spec }: LiveRun, { facts, results }: End): { inference?: InferenceReport } {
  if (spec.executor !== "infer") return {};
  const { notes, labels } = facts;
  const distinct = (texts: readonly string[]) => [...new Set(texts)].toSorted();
  return {
    inference: {
      model: spec.command[0] ?? "",
      sha256: notes[0]?.sha256 ?? spec.binarySha256 ?? null,
      providers: distinct(notes.map(({ provider }) => provider)),
      refusals: distinct(notes.flatMap(({ refusals }) => refusals)),
      labels,
      results: [...results],
    },
  };
}

/** How a run ended, and of a flow what it came to. One that cannot say what it declares has failed. */
function endOf(live: Live, files: FileCounts, flow: FlowEnd | undefined): Pick<RunReport, "state" | "flow"> {
  const counts = flow === undefined ? files : { ...files, failed: files.failed - flow.handledRows };
  const state = decideEndState(counts, {
    isCancelled: live.isCancelled && !live.isFailFast && live.timedOut === undefined,
    isBroken: live.broken !== undefined,
  });
  if (flow === undefined) return { state };
  const timedOut = live.timedOut === undefined ? {} : { timedOut: true };
  const isBad = state === "succeeded" && flow.outputFault !== undefined;
  if (!isBad) return { state, flow: { ...flow.flow, ...timedOut } };
  return { state: "failed", flow: { ...flow.flow, ...timedOut, badOutput: flow.outputFault } };
}

function summarize(deps: ReportDeps, run: LiveRun, end: End): RunReport {
  const { runId, epoch, spec } = run;
  const { live, facts, flow, outputsSha256 } = end;
  const { counts: files, figures, failures, examples, anomalies } = facts;
  const endedAtMs = deps.clock.nowMs();
  const durationSeconds = Math.max(0, endedAtMs - live.startedAtMs) / 1_000;
  const ranFiles = Math.max(0, files.total - files.cancelled - files.skipped - live.reusedFiles);
  return {
    id: runId,
    name: spec.name ?? null,
    ...endOf(live, files, flow),
    epoch,
    command: spec.command,
    input: spec.input.root,
    output: spec.output.root,
    startedAtMs: live.startedAtMs,
    endedAtMs,
    files,
    isScanned: flow !== undefined || live.scannedFiles !== undefined,
    durationSeconds,
    filesPerSecond: durationSeconds > 0 ? Math.round((ranFiles / durationSeconds) * 100) / 100 : 0,
    ...figures,
    failures,
    anomalies,
    artifacts: { ...figures.artifacts, examples },
    ...inferenceOf(run, end),
    ...(outputsSha256 !== undefined && { outputsSha256 }),
  };
}
