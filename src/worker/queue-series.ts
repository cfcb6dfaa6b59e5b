/** The metrics of a worker that are told by queue: how long its jobs waited, and the series of its profile from their start. */
import { isChunkJob } from "../contract/jobs.ts";
import { outcomes } from "../contract/outcomes.ts";
import { parseQueueName } from "../contract/queues.ts";
import { profileOfPlace, type QueuePlace } from "../platform/job-queues.ts";
import type { Metrics } from "../platform/metrics.ts";
import type { ClaimedJob } from "./lane.ts";

/** Lets the series of a queue's profile begin with 0, before its first job ends: the first event is an increase then. */
export function beginSeries(metrics: Metrics, place: QueuePlace): void {
  const { jobName } = parseQueueName(place.name);
  const profile = profileOfPlace(place);
  metrics.histogram("headroom_job_wait_seconds").zero({ job_name: jobName, profile });
  if (!isChunkJob(jobName)) return;
  metrics.histogram("headroom_file_duration_seconds").zero({ profile });
  metrics.histogram("headroom_chunk_duration_seconds").zero({ profile });
  metrics.counter("headroom_class_drifts_total").inc({ profile }, 0);
  for (const target of ["memory", "duration"]) metrics.counter("headroom_anomalies_total").inc({ target, profile }, 0);
  // Of a model the name is known once its engine has loaded it.
  if (jobName !== "exec") return;
  for (const outcome of outcomes) {
    metrics.counter("headroom_files_processed_total").inc({ outcome, profile, model: "", provider: "" }, 0);
  }
}

/** Counts how long a job waited, at its first claim. A report waits for the work of its run, not for a worker. */
export function tellWait(metrics: Metrics, { job, profile }: Pick<ClaimedJob, "job" | "profile">, nowMs: number): void {
  if (job.name === "report" || job.attemptsStarted > 1) return;
  const waitedMs = Math.max(0, nowMs - job.timestamp - (job.opts.delay ?? 0));
  metrics.histogram("headroom_job_wait_seconds").observe({ job_name: job.name, profile }, waitedMs / 1_000);
}
