/** Whether this process reaches Redis, and how far apart their clocks are: in its metrics, whatever process it is. */
import type { Redis } from "ioredis";
import { answerWithin } from "./answer-within.ts";
import type { Clock } from "./clock.ts";
import type { Metrics } from "./metrics.ts";

/** A scrape waits for its collectors: an answer that takes longer is none. */
const ANSWER_MS = 1_000;

export interface RedisLinkDeps {
  readonly metrics: Metrics;
  /** A `command` connection. */
  readonly redis: Redis;
  readonly clock: Clock;
}

/** Asks Redis for its time at each exposition. */
export function exposeRedisLink({ metrics, redis, clock }: RedisLinkDeps): void {
  metrics.onCollect(async () => {
    const up = metrics.gauge("headroom_redis_up");
    const askedMs = clock.nowMs();
    // That it does not answer is what is told: the metric says so, and the connection logs it.
    const theirs = await answerWithin(timeOf(redis), ANSWER_MS);
    up.set(theirs === undefined ? 0 : 1);
    if (theirs === undefined) {
      // Nobody knows it now.
      metrics.gauge("headroom_clock_skew_seconds").remove();
      return;
    }
    const middleMs = (askedMs + clock.nowMs()) / 2;
    metrics.gauge("headroom_clock_skew_seconds").set((middleMs - theirs) / 1_000);
  });
}

/** The time of Redis in ms since 1970. */
async function timeOf(redis: Redis): Promise<number> {
  const [seconds, micros] = await redis.time();
  return Number(seconds) * 1_000 + Number(micros) / 1_000;
}
