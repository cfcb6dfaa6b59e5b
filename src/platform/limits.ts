/** Where limits that were set while workers run are kept, and how workers are told of a change. */
import type { Redis } from "ioredis";
import { messageOf } from "../contract/errors.ts";
import { ALL_WORKERS, parseLimits, type Limits } from "../contract/limits.ts";
import { keys } from "../contract/queues.ts";
import { publishControl } from "./control.ts";
import type { Logger } from "./logger.ts";

export interface LimitsDeps {
  readonly redis: Redis;
  /** The result of `keyPrefix`. */
  readonly kp: string;
  readonly logger: Logger;
}

/** What is set, by worker id, host or `*`. An entry that cannot be read is logged and left out. */
export async function loadAllLimits({ redis, kp, logger }: LimitsDeps): Promise<ReadonlyMap<string, Limits>> {
  const stored = await redis.hgetall(keys.limits(kp));
  const known = new Map<string, Limits>();
  for (const [target, text] of Object.entries(stored)) {
    try {
      known.set(target, parseLimits(JSON.parse(text)));
    } catch (error) {
      logger.warn({ target, reason: messageOf(error) }, "limits that were set cannot be read and are left out");
    }
  }
  return known;
}

/** What counts for one worker: its own over those of its host over those of all. */
export function limitsFor(known: ReadonlyMap<string, Limits>, worker: { workerId: string; host: string }): Limits {
  return { ...known.get(ALL_WORKERS), ...known.get(worker.host), ...known.get(worker.workerId) };
}

/** Sets some limits and keeps the others; what counts for the target afterwards. */
export async function setLimits(deps: LimitsDeps, target: string, change: Limits): Promise<Limits> {
  const { redis, kp } = deps;
  const next = { ...(await loadAllLimits(deps)).get(target), ...change };
  await redis.hset(keys.limits(kp), target, JSON.stringify(next));
  await publishControl(redis, kp, { kind: "limits" });
  return next;
}

/** Takes back what was set for a target, or everything; how many targets had something set. */
export async function resetLimits({ redis, kp }: LimitsDeps, target: string | undefined): Promise<number> {
  const key = keys.limits(kp);
  const targets = target === undefined ? await redis.hkeys(key) : [target];
  const removed = targets.length === 0 ? 0 : await redis.hdel(key, ...targets);
  await publishControl(redis, kp, { kind: "limits" });
  return removed;
}
