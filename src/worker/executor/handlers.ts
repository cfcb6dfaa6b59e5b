/** Every job name and its handler: one that is missing does not compile. */
import type { FileResult } from "../../contract/files.ts";
import { chunkJobOf } from "../../contract/jobs.ts";
import type { RunReport } from "../../contract/run-record.ts";
import type { RunSpec } from "../../contract/run-spec.ts";
import type { Clock } from "../../platform/clock.ts";
import type { JobQueues } from "../../platform/job-queues.ts";
import type { Logger } from "../../platform/logger.ts";
import type { Metrics } from "../../platform/metrics.ts";
import type { PolicyGate } from "../../platform/policy-gate.ts";
import { classOf } from "../../platform/learned/class-key.ts";
import type { RunHash } from "../../platform/run-hash.ts";
import type { Store } from "../../store/store.ts";
import type { Governor } from "../governor/governor.ts";
import type { LearnedRuns } from "../governor/learned-runs.ts";
import type { InferRunner } from "../inference/infer-runner.ts";
import type { FlowRuns } from "../flow-runs.ts";
import { tellFileSpans, tellRunSpan } from "../job-spans.ts";
import type { LargestJob } from "../largest-job.ts";
import type { OutputClaims } from "../output-claims.ts";
import { mayRetry } from "../result/outcome.ts";
import type { RunCache } from "../run-cache.ts";
import type { ChunkRunner } from "./chunk-runner.ts";
import type { Handlers } from "./executor.ts";
import { createChunkHandler } from "./handlers/exec.ts";
import type { ExecDeps } from "./handlers/exec-deps.ts";
import { createForkHandler } from "./handlers/fork.ts";
import { createReportHandler } from "./handlers/report.ts";
import { createScanHandler } from "./handlers/scan.ts";
import type { Redis } from "ioredis";
import type { UsageSample } from "./chunk-request.ts";

export interface HandlerDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly workerId: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly hash: RunHash;
  readonly runs: RunCache;
  readonly queues: JobQueues;
  readonly runner: ChunkRunner;
  readonly inferRunner: InferRunner;
  readonly gate: PolicyGate;
  readonly claims: OutputClaims;
  readonly flows: FlowRuns;
  readonly learned: LearnedRuns;
  readonly largestJob: LargestJob;
  onUsage(jobId: string, sample: UsageSample): void;
  readonly onReport?: (report: RunReport) => void;
  readonly governor: Pick<Governor, "useVolume" | "hold" | "describe" | "gpus" | "worked" | "killed">;
}

export function createHandlers(deps: HandlerDeps): Handlers {
  const { metrics, learned, governor } = deps;
  const onNoRoom = deferForRoom.bind(undefined, metrics);
  const chunks: Omit<ExecDeps, "runner"> = {
    ...deps,
    random: Math.random,
    expectedBytes: (run, entry) => learned.expectedBytes(run, entry),
    gpuOf: (jobId) => governor.gpus.cardOf(jobId),
    onStart: (run, jobId, files) => {
      if (run.spec.output.from !== "none") governor.useVolume(run.spec.output.root);
      const remainingMs = learned.lastsMs(run, files);
      governor.describe(jobId, {
        expectation: learned.expectChunk(run, files),
        isRetriable: files.every((file) => mayRetry("out-of-memory", file, run.spec.retry)),
        kind: classOf(run.spec).key,
        ...(remainingMs !== undefined && { remainingMs }),
      });
    },
    onOutcome: (result, run) => {
      tellResult(metrics, result, { spec: run.spec, on: deps.inferRunner.facesOf(run.spec) });
      tellFileSpans(metrics.spans, result, run, deps.clock.nowMs());
    },
    onRetry: (failureClass) => {
      metrics.counter("headroom_retries_total").inc({ failure_class: failureClass });
    },
    onNoRoom,
    onSolitude: (isWanted) => {
      governor.hold({ isSolitary: isWanted });
    },
    onFenced: (count) => {
      metrics.counter("headroom_fenced_total").inc(count);
    },
    onMeasured: (run, jobId, measure) => {
      const { inputBytes, cpuMs, end } = measure;
      if (end === "well") governor.worked(jobId, { work: learned.workOf(run, inputBytes), cpuMs });
      if (end === "kernel-kill") governor.killed(jobId);
      learned.learn(run, jobId, measure);
    },
    onChunk: (run, files, seconds) => {
      learned.learnChunk(run, files, seconds * 1_000);
      metrics.histogram("headroom_chunk_duration_seconds").observe({ profile: run.spec.profile }, seconds);
    },
  };
  return {
    scan: createScanHandler({ ...deps, onNoRoom }),
    exec: createChunkHandler({ ...chunks, runner: deps.runner }),
    infer: createChunkHandler({ ...chunks, runner: deps.inferRunner }),
    fork: createForkHandler(deps),
    report: createReportHandler({
      ...deps,
      onEnded: (state, run) => {
        metrics.counter("headroom_runs_total").inc({ state });
        tellRunSpan(metrics.spans, run, state, deps.clock.nowMs());
      },
    }),
  };
}

function tellResult(
  metrics: Metrics,
  { outcome, failureClass, durationMs, agent }: FileResult,
  { spec, on }: { readonly spec: RunSpec; readonly on: ReturnType<InferRunner["facesOf"]> },
): void {
  const { profile } = spec;
  metrics.counter("headroom_files_processed_total").inc({ outcome, profile, ...on });
  if (durationMs !== null) metrics.histogram("headroom_file_duration_seconds").observe({ profile }, durationMs / 1_000);
  // What the rules of alerts count: under labels whose values are all known before.
  metrics.counter("headroom_results_total").inc({ outcome, failure_class: failureClass ?? "" });
  // Of all inputs only a call of a flow's node has none.
  if (spec.input.kind !== "none") return;
  const kind = spec.agent !== undefined ? "agent" : chunkJobOf(spec);
  metrics.counter("headroom_flow_calls_total").inc({ kind, outcome });
  if (agent === undefined) return;
  metrics.counter("headroom_agent_turns_total").inc(agent.turns);
  metrics.counter("headroom_agent_tokens_total").inc(agent.tokens);
  metrics.counter("headroom_agent_cost_usd_total").inc(agent.costUsd);
}

function deferForRoom(metrics: Metrics): void {
  metrics.counter("headroom_admissions_total").inc({ decision: "defer", reason: "DISK_FULL" });
}
