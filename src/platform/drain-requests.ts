/** Which workers people have asked to drain: kept until they are let go on, so that a restart changes nothing. */
import type { Redis } from "ioredis";
import { z } from "zod";
import { messageOf } from "../contract/errors.ts";
import { keys } from "../contract/queues.ts";
import { publishControl } from "./control.ts";
import type { Logger } from "./logger.ts";

export interface DrainRequestsDeps {
  readonly redis: Redis;
  /** The result of `keyPrefix`. */
  readonly kp: string;
  readonly logger: Logger;
}

const drainRequest = z.object({
  atMs: z.number(),
  /** Jobs that still run after this are handed back; null is the worker's own time. */
  graceMs: z.number().nonnegative().nullable(),
});
export type DrainRequest = Readonly<z.output<typeof drainRequest>>;

/** What is asked for, by worker id or host. An entry that cannot be read still drains: it was asked for. */
export async function loadDrainRequests(deps: DrainRequestsDeps): Promise<ReadonlyMap<string, DrainRequest>> {
  const stored = Object.entries(await deps.redis.hgetall(keys.drained(deps.kp)));
  return new Map(stored.map(([target, text]) => [target, parseRequest(deps, target, text)]));
}

function parseRequest({ logger }: DrainRequestsDeps, target: string, text: string): DrainRequest {
  try {
    return drainRequest.parse(JSON.parse(text));
  } catch (error) {
    logger.warn({ target, reason: messageOf(error) }, "drain request cannot be read, the worker's own time counts");
    return { atMs: 0, graceMs: null };
  }
}

/** Asks a worker, or all of a host, to drain and to stay so. */
export async function requestDrain(
  { redis, kp }: DrainRequestsDeps,
  target: string,
  request: DrainRequest,
): Promise<void> {
  await redis.hset(keys.drained(kp), target, JSON.stringify(request));
  await publishControl(redis, kp, { kind: "drain" });
}

/** Lets them claim again; whether a drain had been asked for. */
export async function undoDrain({ redis, kp }: DrainRequestsDeps, target: string): Promise<boolean> {
  const removed = await redis.hdel(keys.drained(kp), target);
  await publishControl(redis, kp, { kind: "drain" });
  return removed > 0;
}
