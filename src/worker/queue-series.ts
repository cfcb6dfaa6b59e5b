/** The metrics of a worker that are told by queue: how long its jobs waited, and the series of its profile from their start. */
import { isChunkJob } from "../contract/jobs.ts";
import { outcomes } from "../contract/outcomes.ts";
import { parseQueueName } from "../contract/queues.ts";
import { driftTargets } from "../contract/run-record.ts";
import { targets } from "../platform/learned/class-state.ts";
import { profileOfPlace, type QueuePlace } from "../platform/job-queues.ts";
import type { Metrics } from "../platform/metrics.ts";
import type { ClaimedJob } from "./lane.ts";

/** Lets the series of each queue's profile begin with 0, before its first job ends: the first event is an increase then. */
export class QueueSeries {
  readonly #metrics: Metrics;
  /** Beginning a histogram anew would forget what it has counted. */
  readonly #begun = new Set<string>();

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  begin(place: QueuePlace): void {
    const { jobName } = parseQueueName(place.name);
    const profile = profileOfPlace(place);
    this.#once(`wait ${jobName} ${profile}`, () => {
      this.#metrics.histogram("headroom_job_wait_seconds").zero({ job_name: jobName, profile });
    });
    if (isChunkJob(jobName)) {
      this.#once(`profile ${profile}`, () => {
        this.#beginProfile(profile);
      });
    }
    // Of a model the name is known once its engine has loaded it.
    if (jobName !== "exec") return;
    for (const outcome of outcomes) {
      const labels = { outcome, profile, model: "", provider: "" };
      this.#metrics.counter("headroom_files_processed_total").inc(labels, 0);
    }
  }

  #beginProfile(profile: string): void {
    const metrics = this.#metrics;
    metrics.histogram("headroom_file_duration_seconds").zero({ profile });
    metrics.histogram("headroom_chunk_duration_seconds").zero({ profile });
    for (const target of driftTargets) metrics.counter("headroom_class_drifts_total").inc({ target, profile }, 0);
    for (const target of targets) {
      metrics.counter("headroom_anomalies_total").inc({ target, profile }, 0);
    }
  }

  #once(what: string, begin: () => void): void {
    if (this.#begun.has(what)) return;
    this.#begun.add(what);
    begin();
  }
}

/** Counts how long a job waited, at its first claim. A report waits for the work of its run, not for a worker. */
export function tellWait(metrics: Metrics, { job, profile }: Pick<ClaimedJob, "job" | "profile">, nowMs: number): void {
  if (job.name === "report" || job.attemptsStarted > 1) return;
  const waitedMs = Math.max(0, nowMs - job.timestamp - (job.opts.delay ?? 0));
  metrics.histogram("headroom_job_wait_seconds").observe({ job_name: job.name, profile }, waitedMs / 1_000);
}
