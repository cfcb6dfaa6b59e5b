/** How many jobs of a kind that mostly waits were found to run best at a time, by machine: kept beside what was learned. */
import type { Redis } from "ioredis";
import { z } from "zod";
import { keys } from "../../contract/queues.ts";

/** One of another version counts for nothing, and is written anew. */
const stored = z.object({
  v: z.literal(1),
  profile: z.string(),
  limit: z.int().min(1).max(10_000),
  cores: z.number().nonnegative(),
});

export interface StoredLimit {
  readonly kind: string;
  readonly profile: string;
  readonly limit: number;
  readonly cores: number;
}

const KEPT_SECONDS = 90 * 24 * 3_600;

/** What was found on this machine. */
export async function loadClassLimits(redis: Redis, kp: string, host: string): Promise<readonly StoredLimit[]> {
  const fields = Object.entries(await redis.hgetall(keys.classLimits(kp)));
  return fields.flatMap(([field, text]) => {
    if (!field.endsWith(`|${host}`)) return [];
    const read = stored.safeParse(jsonOf(text)).data;
    if (read === undefined) return [];
    const { profile, limit, cores } = read;
    return [{ kind: field.slice(0, -host.length - 1), profile, limit, cores }];
  });
}

/** Puts what was found on this machine in the place of what was there. */
export async function saveClassLimits(
  redis: Redis,
  kp: string,
  { host, found }: { readonly host: string; readonly found: readonly StoredLimit[] },
): Promise<void> {
  if (found.length === 0) return;
  const fields = found.flatMap(({ kind, ...limit }) => [`${kind}|${host}`, JSON.stringify({ v: 1, ...limit })]);
  await redis
    .multi()
    .hset(keys.classLimits(kp), ...fields)
    .expire(keys.classLimits(kp), KEPT_SECONDS)
    .exec();
}

/** Forgets what was found of these classes, on every machine. */
export async function dropClassLimits(redis: Redis, kp: string, classKeys: readonly string[]): Promise<void> {
  const fields = await redis.hkeys(keys.classLimits(kp));
  const dropped = fields.filter((field) => classKeys.some((key) => field.startsWith(`${key}|`)));
  if (dropped.length > 0) await redis.hdel(keys.classLimits(kp), ...dropped);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // refused as none
  }
}
