/** How deep the queues are and how old their oldest job is, by state; which workers are there. */
import type { Redis } from "ioredis";
import { parseQueueName } from "../contract/queues.ts";
import { WORKER_ALIVE_MS } from "../contract/status.ts";
import type { Clock } from "../platform/clock.ts";
import { profileOfPlace, type JobQueues } from "../platform/job-queues.ts";
import type { Metrics } from "../platform/metrics.ts";
import { loadHeartbeats } from "../platform/worker-heartbeats.ts";

const states = ["waiting", "prioritized", "delayed", "active", "waiting-children"] as const;

export interface QueueMetricsDeps {
  readonly redis: Redis;
  /** The key prefix with its hash tag. */
  readonly kp: string;
  readonly queues: JobQueues;
  readonly metrics: Metrics;
  readonly clock: Clock;
}

/** Reads all queues and sets the gauges. */
export async function collectQueueMetrics(deps: QueueMetricsDeps): Promise<void> {
  const jobs = deps.metrics.gauge("headroom_queue_jobs");
  const age = deps.metrics.gauge("headroom_queue_oldest_age_seconds");
  for (const place of await deps.queues.list()) {
    const { name } = place;
    const labels = { queue: name, job_name: parseQueueName(name).jobName, profile: profileOfPlace(place) };
    const queue = deps.queues.queue(name);
    const counts = await queue.getJobCounts(...states);
    for (const state of states) {
      const count = counts[state] ?? 0;
      jobs.set({ ...labels, state }, count);
      const [oldest] = count === 0 ? [] : await queue.getJobs([state], 0, 0, true);
      age.set(
        { ...labels, state },
        oldest === undefined ? 0 : Math.max(0, deps.clock.nowMs() - oldest.timestamp) / 1_000,
      );
    }
  }
}

const workerStates = ["starting", "working", "draining", "silent"] as const;

/** Counts the workers that have told of themselves a moment ago. */
export async function collectWorkers({ redis, kp, metrics, clock }: QueueMetricsDeps): Promise<void> {
  const nowMs = clock.nowMs();
  const beats = await loadHeartbeats(redis, kp);
  const states = beats.map(({ atMs, state }) => (nowMs - atMs > WORKER_ALIVE_MS ? "silent" : state));
  for (const state of workerStates) {
    metrics.gauge("headroom_workers").set({ state }, states.filter((one) => one === state).length);
  }
}
