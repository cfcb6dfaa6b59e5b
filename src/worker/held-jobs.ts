/** The jobs that this worker holds: how each is run, aborted, handed back, and given up in the end. */
import { WaitingChildrenError, type Job } from "bullmq";
import type { Redis } from "ioredis";
import { isPassing, LeaseLostError, lineOf, messageOf, NewerSpecError } from "../contract/errors.ts";
import { unrunResult } from "../contract/files.ts";
import {
  isJobName,
  jobs,
  PAYLOAD_VERSION,
  payloadVersionOf,
  type ChunkJobName,
  type JobName,
  type Payload,
} from "../contract/jobs.ts";
import { keys } from "../contract/queues.ts";
import type { RunningJob } from "../contract/status.ts";
import type { Clock } from "../platform/clock.ts";
import type { JobQueues } from "../platform/job-queues.ts";
import type { Logger } from "../platform/logger.ts";
import { withTrace } from "../platform/trace.ts";
import type { Store } from "../store/store.ts";
import type { UsageSample } from "./executor/chunk-runner.ts";
import { NodeCancels } from "./executor/node-cancels.ts";
import { RunCancelled, type Handlers, type JobContext } from "./executor/executor.ts";
import type { Governor } from "./governor/governor.ts";
import { HandBack, NewerPayload, type ClaimedJob } from "./lane.ts";
import type { Pace } from "./pace.ts";
import type { RunCache } from "./run-cache.ts";

export interface HeldJob extends Pick<RunningJob, "jobId" | "runId" | "sinceMs"> {
  readonly jobName: JobName;
  readonly queue: string;
  /** Of calls of a flow's nodes. */
  readonly paths: readonly string[];
  readonly cancels: NodeCancels;
  readonly controller: AbortController;
  /** The process that is measured. */
  pid?: number;
}

export interface HeldJobsDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly store: Store;
  readonly runs: Pick<RunCache, "ensureRow" | "load">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly queues: JobQueues;
  readonly governor: Pick<Governor, "attach" | "detach" | "usage">;
  /** The files of a chunk have failed with it. */
  onGiveUp(payload: Payload<ChunkJobName>): Promise<void>;
  readonly onClaim?: (jobName: JobName, jobId: string) => void;
  readonly pace: Pick<Pace, "began" | "ended">;
  /** The profile whose jobs a queue holds. */
  profileOf(queue: string): string;
}

/** So often a job is started again after an unexpected error before its files fail with that. */
const MAX_STARTS = 25;
const HAND_BACK_MS = 500;
const MAX_HAND_BACK_MS = 30_000;

export class HeldJobs {
  readonly #deps: HeldJobsDeps;
  readonly #held = new Map<string, HeldJob>();
  #handlers: Handlers | undefined;

  constructor(deps: HeldJobsDeps) {
    this.#deps = deps;
  }

  /** Set once, before the first job: handlers and held jobs know each other. */
  set handlers(handlers: Handlers) {
    this.#handlers = handlers;
  }

  get all(): readonly HeldJob[] {
    return [...this.#held.values()];
  }

  /** Runs one claimed job; whatever goes wrong, each of its files reaches an outcome in the end (law 3). */
  run(claimed: ClaimedJob): Promise<void> {
    const { traceId } = claimed.job.data as { traceId: string };
    return withTrace(traceId, () => this.#run(claimed));
  }

  async #run({ job, token, signal }: ClaimedJob): Promise<void> {
    const jobId = job.id ?? "";
    const jobName = job.name;
    if (!isJobName(jobName)) throw new TypeError(`expected a job name of the catalogue, found ${jobName}`);
    const controller = new AbortController();
    const onAbort = () => {
      controller.abort(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    const { runId } = job.data as { runId: string };
    const { files } = job.data as { files?: readonly { path: string }[] };
    const paths = files?.map(({ path }) => path) ?? [];
    const cancels = new NodeCancels();
    const { pace, clock } = this.#deps;
    const [queue, profile] = [job.queueName, this.#deps.profileOf(job.queueName)];
    this.#held.set(jobId, { jobId, runId, jobName, queue, paths, cancels, sinceMs: clock.nowMs(), controller });
    this.#deps.onClaim?.(jobName, jobId);
    const sinceMs = clock.monotonicMs();
    let tookMs: number | undefined;
    pace.began(profile);
    try {
      await this.#handle(jobName, { job, token, signal: controller.signal, cancels });
      tookMs = clock.monotonicMs() - sinceMs;
    } catch (error) {
      await this.#failed(job, error);
    } finally {
      signal.removeEventListener("abort", onAbort);
      pace.ended(profile, tookMs);
      this.#held.delete(jobId);
    }
  }

  /** Hands on what a job was seen to use, and has its process tree measured from now on. */
  measure(jobId: string, sample: UsageSample): void {
    const { governor, clock } = this.#deps;
    const held = this.#held.get(jobId);
    if (held === undefined) return;
    // A model's process is that of all its chunks: nothing is done to it for one of them.
    if (held.jobName !== "infer" && held.pid !== sample.pid) {
      if (held.pid !== undefined) governor.detach(jobId, held.pid);
      held.pid = sample.pid;
      governor.attach(jobId, sample.pid, sample.group);
    }
    const { rssBytes, cpuMs, pid } = sample;
    governor.usage(jobId, { rssBytes, cpuMs, pid, atMs: clock.monotonicMs() });
  }

  handBack(which: (held: HeldJob) => boolean): void {
    for (const held of this.#held.values()) {
      if (which(held)) held.controller.abort(new HandBack("worker stops", 0));
    }
  }

  cancel(runId: string): void {
    for (const held of this.#held.values()) {
      if (held.runId === runId) held.controller.abort(new RunCancelled(runId));
    }
  }

  /** Ends the calls of these nodes of a flow, whose ends are written. */
  cancelNodes(runId: string, paths: readonly string[]): void {
    for (const held of this.#held.values()) {
      if (held.runId !== runId) continue;
      for (const path of paths) if (held.paths.includes(path)) held.cancels.cancel(path);
    }
  }

  /** Asks for the state of each run here: messages may have been missed while the connection was down. */
  async cancelMissed(): Promise<void> {
    try {
      for (const runId of new Set(this.all.map((held) => held.runId))) {
        const state = await this.#deps.redis.hget(keys.run(this.#deps.kp, runId), "state");
        if (state === "cancelling") this.cancel(runId);
      }
    } catch (error) {
      this.#deps.logger.warn({ err: error }, "cancels may have been missed, the next reconnect looks again");
    }
  }

  /** Lets go of what Redis keeps for the recovery of a job that has ended. */
  async forget(job: Job): Promise<void> {
    const { runId, epoch } = job.data as { runId: string; epoch: number };
    try {
      await this.#deps.redis.del(keys.inflight(this.#deps.kp, job.id ?? ""));
      await this.#deps.queues.forgetEndedChild({ runId, epoch }, job.queueName, job.id ?? "");
    } catch (error) {
      this.#deps.logger.warn({ err: error, jobId: job.id }, "leftovers of an ended job stay until they expire");
    }
  }

  async #handle(name: JobName, context: JobContext): Promise<void> {
    const handlers = this.#handlers;
    if (handlers === undefined) throw new TypeError("expected handlers before the first job");
    const { data } = context.job as { data: unknown };
    const version = payloadVersionOf(data);
    if (version > PAYLOAD_VERSION) throw new NewerPayload(`payload version ${version}, not ${PAYLOAD_VERSION} at most`);
    switch (name) {
      case "scan":
        return handlers.scan(jobs.scan.payload.parse(data), context);
      case "exec":
        return handlers.exec(jobs.exec.payload.parse(data), context);
      case "infer":
        return handlers.infer(jobs.infer.payload.parse(data), context);
      case "fork":
        return handlers.fork(jobs.fork.payload.parse(data), context);
      case "report":
        return handlers.report(jobs.report.payload.parse(data), context);
    }
  }

  async #failed(job: Job, error: unknown): Promise<void> {
    if (isOrderly(error)) throw error;
    if (error instanceof NewerSpecError) throw new NewerPayload(`fields of a newer run: ${error.fields.join(", ")}`);
    const starts = job.attemptsStarted;
    this.#deps.logger.error({ err: error, jobId: job.id, starts }, "job failed unexpectedly");
    // An outage may last: what is not the job's own doing never gives it up.
    if (isPassing(error) || starts < MAX_STARTS || job.name === "report") {
      throw new HandBack(messageOf(error), Math.min(MAX_HAND_BACK_MS, HAND_BACK_MS * 2 ** Math.min(starts, 8)));
    }
    try {
      await this.#giveUp(job, lineOf(error));
    } catch (giveUpError) {
      // Without their rows the files would have no outcome, so the job must not end.
      throw new HandBack(messageOf(giveUpError), MAX_HAND_BACK_MS);
    }
  }

  /** A job that fails again and again for no reason of its files: they fail with the reason, and the run ends. */
  async #giveUp(job: Job, reason: string): Promise<void> {
    const { runId, epoch } = job.data as { runId: string; epoch: number };
    if (job.name === "scan") {
      await this.#deps.redis.hset(keys.run(this.#deps.kp, runId), { broken: reason, scanned: "1" });
      return;
    }
    if (job.name === "fork") {
      await this.#deps.redis.hset(keys.run(this.#deps.kp, runId), { broken: reason });
      return;
    }
    const { files } = jobs.exec.payload.parse(job.data);
    await this.#deps.runs.ensureRow(await this.#deps.runs.load(runId, epoch));
    const paths = files.map((file) => file.path);
    const rows = await this.#deps.store.files.get(runId, paths);
    const known = new Set(rows.filter((row) => row.epoch === epoch).map((row) => row.path));
    const why = { outcome: "failed", failureClass: "infrastructure", message: reason } as const;
    const left = files.filter((file) => !known.has(file.path)).map((file) => unrunResult(file, why));
    await this.#deps.store.files.record(runId, epoch, left);
    await this.#deps.onGiveUp(jobs.exec.payload.parse(job.data));
  }
}

/** Ends of a start that are no failure: the job is given back, held by another worker by now, or waits for its children. */
function isOrderly(error: unknown): boolean {
  return error instanceof HandBack || error instanceof LeaseLostError || error instanceof WaitingChildrenError;
}
