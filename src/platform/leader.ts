/** Who leads the schedulers of a cluster: what the leader's lease in Redis says. */
import type { Redis } from "ioredis";
import { keys } from "../contract/queues.ts";

/** The scheduler that leads now. */
export interface Leader {
  /** The scheduler's id. */
  readonly holder: string;
  /** Of its term: each term has a greater one than all before it. */
  readonly token: number;
  readonly sinceMs: number;
}

/** The leader, or undefined while none leads. `kp` is the result of `keyPrefix`. */
export async function loadLeader(redis: Redis, kp: string): Promise<Leader | undefined> {
  const [holder, token, sinceMs] = await redis.hmget(keys.leader(kp), "holder", "token", "sinceMs");
  if (holder == null || token == null) return undefined;
  return { holder, token: Number(token), sinceMs: Number(sinceMs ?? 0) };
}
