/** How much waits, and how full the memory of Redis is: what the intake answers 429 by. */
import type { Redis } from "ioredis";
import { keys } from "../contract/queues.ts";
import { memoryFill } from "../platform/redis-check.ts";
import type { Backlog } from "./client-port.ts";

export async function loadBacklog(redis: Redis, kp: string): Promise<Backlog> {
  const names = await redis.smembers(keys.queues(kp));
  const counts = await Promise.all(
    names.map(async (name) => {
      const [waiting, prioritized] = await Promise.all([
        redis.llen(`${kp}:${name}:wait`),
        redis.zcard(`${kp}:${name}:prioritized`),
      ]);
      return waiting + prioritized;
    }),
  );
  return { waitingJobs: counts.reduce((sum, count) => sum + count, 0), memoryFill: await memoryFill(redis) };
}
