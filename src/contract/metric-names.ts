/** Every metric, in one table: name, type, help, labels, buckets. Base units; an id is never a label. */

import { inferenceMetrics } from "./inference-metrics.ts";
import { durations, type MetricDefinition } from "./metric-definition.ts";
import { machineMetrics } from "./machine-metric-names.ts";
import { redisMetrics } from "./redis-metric-names.ts";
import { schedulerMetrics } from "./scheduler-metrics.ts";

const requests = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

const ratios = [0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10] as const;

export const metricTable = {
  headroom_files_processed_total: {
    type: "counter",
    help: "Files that reached their outcome on this worker.",
    labels: ["outcome", "profile", "model", "provider"],
  },
  headroom_results_total: {
    type: "counter",
    help: "Files that reached their outcome, by the class of their failure; all of its series are there from the start.",
    labels: ["outcome", "failure_class"],
  },
  ...inferenceMetrics,
  headroom_file_duration_seconds: {
    type: "histogram",
    help: "Time from the start of a file's process to its published result.",
    labels: ["profile"],
    buckets: durations,
  },
  headroom_chunk_duration_seconds: {
    type: "histogram",
    help: "Time from the claim of a chunk to its end.",
    labels: ["profile"],
    buckets: durations,
  },
  headroom_job_wait_seconds: {
    type: "histogram",
    help: "Time from when a job could run, added or delayed until then, to its claim.",
    labels: ["job_name", "profile"],
    buckets: durations,
  },
  headroom_stalled_jobs_total: {
    type: "counter",
    help: "Jobs whose lock ran out because their worker was lost or hung, as the worker counts them that put them back.",
    labels: [],
  },
  headroom_flow_calls_total: {
    type: "counter",
    help: "Calls of nodes of flows that reached their outcome, by what was called: exec, infer or agent.",
    labels: ["kind", "outcome"],
  },
  headroom_agent_turns_total: {
    type: "counter",
    help: "Turns of agents, as they told them, counted when their node reaches its outcome.",
    labels: [],
  },
  headroom_agent_tokens_total: {
    type: "counter",
    help: "Tokens that agents used, of all kinds, as they told them, counted when their node reaches its outcome.",
    labels: [],
  },
  headroom_agent_cost_usd_total: {
    type: "counter",
    help: "US dollars that agents cost, as they told them, counted when their node reaches its outcome.",
    labels: [],
  },
  headroom_queue_jobs: {
    type: "gauge",
    help: "Jobs in a queue, by state.",
    labels: ["queue", "job_name", "profile", "state"],
  },
  headroom_queue_oldest_age_seconds: {
    type: "gauge",
    help: "Age of the oldest job in a queue, by state (of delayed ones: of the first that is due); 0 when there is none.",
    labels: ["queue", "job_name", "profile", "state"],
  },
  headroom_admissions_total: {
    type: "counter",
    help: "Answers of the governor, by decision and reason.",
    labels: ["decision", "reason"],
  },
  headroom_refusing_seconds: {
    type: "gauge",
    help: "Time for which this worker has refused all that it was asked for; 0 while it lets jobs in. Jobs need not wait.",
    labels: [],
  },
  headroom_room_kept: {
    type: "gauge",
    help: "Whether this worker keeps room for a job that has waited long: 1 or 0. One worker per waiting queue does.",
    labels: [],
  },
  headroom_room_leases_total: {
    type: "counter",
    help: "Leases of the room for a job that has waited long: taken by this worker, or let go as the job started, vanished or starts sooner elsewhere.",
    labels: ["event"],
  },
  headroom_reserved: {
    type: "gauge",
    help: "What the governor has promised to running jobs: bytes, cores or processes.",
    labels: ["resource"],
  },
  headroom_capacity: {
    type: "gauge",
    help: "What this worker may use in all: bytes, cores or processes.",
    labels: ["resource"],
  },
  headroom_observed: {
    type: "gauge",
    help: "What is in use now as measured: bytes, cores or processes.",
    labels: ["resource"],
  },
  headroom_headroom: {
    type: "gauge",
    help: "Capacity minus the larger of reserved and observed: bytes, cores or processes.",
    labels: ["resource"],
  },
  ...machineMetrics,
  headroom_event_loop_lag_seconds: {
    type: "gauge",
    help: "How late the event loop ran its timers in the last 10 to 20 s, by quantile.",
    labels: ["quantile"],
  },
  headroom_retries_total: {
    type: "counter",
    help: "Files that were given another attempt, by the reason of the failure before.",
    labels: ["failure_class"],
  },
  headroom_fenced_total: {
    type: "counter",
    help: "Late results that were refused because the lease of their job was lost.",
    labels: [],
  },
  headroom_governor_cpu_seconds_total: {
    type: "counter",
    help:
      "Time for which the governor of a worker held its thread: for readings, decisions about jobs, steps against them and " +
      "these figures. What probes read beside it is told in headroom_probe_duration_seconds.",
    labels: [],
  },
  headroom_enforcement_steps_total: {
    type: "counter",
    help:
      "Steps of the governor against running jobs, and back, by step and reason: slow and restore (priority), suspend and " +
      "resume, end (before the kernel would).",
    labels: ["step", "reason"],
  },
  headroom_enforced_jobs: {
    type: "gauge",
    help: "Running jobs that stand still (suspended) or have a lower priority (slowed) now.",
    labels: ["state"],
  },
  headroom_prediction_ratio: {
    type: "histogram",
    help:
      "What a process took over the middle of what was expected of it, by target (memory, duration, gpu), by what the " +
      "expectation rests on (declared, learned, default) and by profile. 1 is a perfect guess; far above 1 means too little " +
      "was reserved, far below 1 that room stood empty.",
    labels: ["target", "basis", "profile"],
    buckets: ratios,
  },
  headroom_prediction_coverage: {
    type: "gauge",
    help:
      "Share of the last 30 processes of the class that ended last whose peak memory stayed below its expected p95, by " +
      "profile. It should lie between 0.92 and 1; lower for long means that the class changes faster than it is learned.",
    labels: ["profile"],
  },
  headroom_anomalies_total: {
    type: "counter",
    help: "Processes that took far more than others of their class do, by target (memory, duration, gpu) and profile.",
    labels: ["target", "profile"],
  },
  headroom_class_drifts_total: {
    type: "counter",
    help: "How often a class of jobs was found to take more than all that had been learned of it, by target (memory, duration, cpu) and profile.",
    labels: ["target", "profile"],
  },
  ...redisMetrics,
  headroom_runs_total: {
    type: "counter",
    help: "Runs that came into a state.",
    labels: ["state"],
  },
  ...schedulerMetrics,
  headroom_intake_refused_total: {
    type: "counter",
    help: "Runs that the intake refused, by reason.",
    labels: ["reason"],
  },
  headroom_http_requests_total: {
    type: "counter",
    help: "HTTP requests answered, by method, route pattern and status.",
    labels: ["method", "route", "status"],
  },
  headroom_http_request_duration_seconds: {
    type: "histogram",
    help: "Time to answer an HTTP request, by method and route pattern.",
    labels: ["method", "route"],
    buckets: requests,
  },
  headroom_build_info: {
    type: "gauge",
    help: "Always 1; its labels say what is running.",
    labels: ["version", "node", "process"],
  },
  headroom_store_up: {
    type: "gauge",
    help: "Whether the store answered this process when it was asked for its metrics: 1 or 0.",
    labels: [],
  },
  headroom_store_write_failures_total: {
    type: "counter",
    help: "Writes that the store refused though it answers, by reason: full, read-only, or a disk that fails (disk).",
    labels: ["reason"],
  },
  headroom_last_claim_age_seconds: {
    type: "gauge",
    help: "Time since this worker last claimed a job; 0 before the first.",
    labels: [],
  },
  headroom_pull_age_seconds: {
    type: "gauge",
    help: "Time since the pull loop of this worker last got an answer from Redis; above 10 it is not ready.",
    labels: [],
  },
} as const satisfies Record<`headroom_${string}`, MetricDefinition>;

export type MetricTable = typeof metricTable;
export type MetricName = keyof MetricTable;
/** The names of all metrics of one type. */
export type MetricNameOf<T extends MetricDefinition["type"]> = {
  [N in MetricName]: MetricTable[N]["type"] extends T ? N : never;
}[MetricName];
/** The labels of one metric. */
export type LabelOf<N extends MetricName> = MetricTable[N]["labels"][number];
