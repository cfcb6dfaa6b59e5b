/** What a worker tells of the trace of a run: how its jobs waited, and how its files were run and published. */
import type { FileResult } from "../contract/files.ts";
import type { RunState } from "../contract/outcomes.ts";
import type { LiveRun } from "../platform/run-hash.ts";
import { isTraceId, newSpanId, runSpanId, type SpanSink } from "../platform/spans.ts";
import type { Refusal } from "./governor/waiting.ts";
import type { ClaimedJob } from "./lane.ts";

/** Of the files of a run so many are told of, and all that did not succeed. */
const TOLD_FILES = 100;

/** How a job waited: in its queue, and of that time for room. */
export function tellClaim(
  spans: SpanSink,
  { job, profile }: Pick<ClaimedJob, "job" | "profile">,
  at: { readonly nowMs: number; readonly refusal: Refusal | undefined },
): void {
  const { runId, traceId } = job.data as { runId: string; traceId: string };
  // A report waits for the work of its run, not for a worker.
  if (!spans.isOn || !isTraceId(traceId) || job.name === "report") return;
  const { nowMs, refusal } = at;
  const startMs = Math.min(nowMs, job.timestamp + (job.opts.delay ?? 0));
  const about = { "headroom.run.id": runId, "headroom.job.id": job.id ?? "", "headroom.profile": profile };
  const spanId = newSpanId();
  const wait = { name: "wait", traceId, spanId, parentId: runSpanId(traceId), startMs, endMs: nowMs } as const;
  spans.tell({ ...wait, attributes: { ...about, "headroom.job.name": job.name, "headroom.queue": job.queueName } });
  const wasRefused = refusal !== undefined && refusal.untilMs >= startMs;
  spans.tell({
    ...{ name: "governor", traceId, parentId: spanId, endMs: nowMs },
    startMs: wasRefused ? Math.max(startMs, refusal.sinceMs) : nowMs,
    attributes: { ...about, "headroom.admission.waited_for": wasRefused ? refusal.code : "nothing" },
  });
}

/** How the process of a file ran, and how long it took from its end until its result was published and written. */
export function tellFileSpans(spans: SpanSink, result: FileResult, { runId, spec }: LiveRun, nowMs: number): void {
  const { traceId } = spec;
  if (!spans.isOn || !isTraceId(traceId) || result.startedAtMs === null) return;
  if (result.index >= TOLD_FILES && result.outcome === "succeeded") return;
  const endedMs = result.startedAtMs + (result.durationMs ?? 0);
  const about = { traceId, parentId: runSpanId(traceId) };
  const attributes = {
    "headroom.run.id": runId,
    "headroom.file.path": result.path,
    "headroom.outcome": result.outcome,
    "headroom.attempts": result.attempts,
  };
  spans.tell({
    ...{ ...about, name: "spawn", startMs: result.startedAtMs, endMs: endedMs },
    attributes: { ...attributes, ...(result.exitCode !== null && { "process.exit.code": result.exitCode }) },
    ...(result.failureClass !== null && { error: `${result.failureClass}: ${result.message ?? ""}` }),
  });
  spans.tell({ ...about, name: "publish", startMs: endedMs, endMs: nowMs, attributes });
}

/** The run itself, once it has ended. */
export function tellRunSpan(
  spans: SpanSink,
  { runId, spec, createdAtMs }: LiveRun,
  state: RunState,
  nowMs: number,
): void {
  const { traceId } = spec;
  // Runs that are nodes of flows share the trace of their flow, whose span has the id that theirs would.
  if (!spans.isOn || !isTraceId(traceId) || spec.parent !== undefined) return;
  spans.tell({
    ...{ name: "run", traceId, spanId: runSpanId(traceId), startMs: createdAtMs, endMs: nowMs },
    attributes: { "headroom.run.id": runId, "headroom.run.state": state, "headroom.profile": spec.profile },
    ...(state === "failed" || state === "broken" ? { error: `the run ended as ${state}` } : {}),
  });
}
