/** How deep the queues are and how old their oldest job is, by state; and the memory of Redis. */
import type { Redis } from "ioredis";
import type { Clock } from "../platform/clock.ts";
import type { JobQueues } from "../platform/job-queues.ts";
import type { Metrics } from "../platform/metrics.ts";
import { parseInfo } from "../platform/redis-check.ts";

const states = ["waiting", "prioritized", "delayed", "active", "waiting-children"] as const;

export interface QueueMetricsDeps {
  readonly redis: Redis;
  readonly queues: JobQueues;
  readonly metrics: Metrics;
  readonly clock: Clock;
}

/** Reads all queues and sets the gauges. */
export async function collectQueueMetrics(deps: QueueMetricsDeps): Promise<void> {
  const jobs = deps.metrics.gauge("headroom_queue_jobs");
  const age = deps.metrics.gauge("headroom_queue_oldest_age_seconds");
  for (const { name } of await deps.queues.list()) {
    const queue = deps.queues.queue(name);
    const counts = await queue.getJobCounts(...states);
    for (const state of states) {
      const count = counts[state] ?? 0;
      jobs.set({ queue: name, state }, count);
      const [oldest] = count === 0 ? [] : await queue.getJobs([state], 0, 0, true);
      age.set(
        { queue: name, state },
        oldest === undefined ? 0 : Math.max(0, deps.clock.nowMs() - oldest.timestamp) / 1_000,
      );
    }
  }
  const info = parseInfo(await deps.redis.info("memory"));
  deps.metrics.gauge("headroom_redis_memory_bytes").set(Number(info.get("used_memory") ?? 0));
  deps.metrics.gauge("headroom_redis_memory_max_bytes").set(Number(info.get("maxmemory") ?? 0));
}
