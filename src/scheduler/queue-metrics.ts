/** How deep the queues are and how old their oldest job is, by state; which workers are there. */
import type { Queue } from "bullmq";
import type { Redis } from "ioredis";
import { parseQueueName } from "../contract/queues.ts";
import { WORKER_ALIVE_MS } from "../contract/status.ts";
import type { Clock } from "../platform/clock.ts";
import { profileOfPlace, type JobQueues } from "../platform/job-queues.ts";
import type { Metrics } from "../platform/metrics.ts";
import { loadHeartbeats } from "../platform/worker-heartbeats.ts";

/** How far scores of one priority are from those of the next, as BullMQ makes them. */
const PRIORITY_SPAN = 0x1_0000_0000;
/** Of so many priorities the oldest job is looked for. */
const MAX_PRIORITIES = 64;

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
      const atMs = count === 0 ? undefined : await oldestMs(deps.redis, queue, state);
      age.set({ ...labels, state }, atMs === undefined ? 0 : Math.max(0, deps.clock.nowMs() - atMs) / 1_000);
    }
  }
}

/** When the oldest job in a state was made, in ms since 1970; undefined when there is none. */
async function oldestMs(redis: Redis, queue: Queue, state: (typeof states)[number]): Promise<number | undefined> {
  if (state === "prioritized") return oldestPrioritizedMs(redis, queue);
  const [oldest] = await queue.getJobs([state], 0, 0, true);
  return oldest?.timestamp;
}

/** The first job of a priority is the oldest of it; the first of all may be new, before others that starve. */
async function oldestPrioritizedMs(redis: Redis, queue: Queue): Promise<number | undefined> {
  let oldest: number | undefined;
  let from = "-inf";
  for (let looked = 0; looked < MAX_PRIORITIES; looked += 1) {
    const [id, score] = await redis.zrangebyscore(
      queue.toKey("prioritized"),
      from,
      "+inf",
      "WITHSCORES",
      "LIMIT",
      0,
      1,
    );
    if (id === undefined) break;
    const timestamp = await redis.hget(queue.toKey(id), "timestamp");
    if (timestamp !== null) oldest = Math.min(oldest ?? Infinity, Number(timestamp));
    from = String((Math.floor(Number(score) / PRIORITY_SPAN) + 1) * PRIORITY_SPAN);
  }
  return oldest;
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
