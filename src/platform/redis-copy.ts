/**
 * Copies of all keys of a deployment, of one moment: writes are held back while they are read (CLIENT PAUSE, reads go on),
 * and go on by themselves should the reader die. They are put back by commands, so an append-only file has them too;
 * a snapshot that is laid beside an append-only file would be ignored.
 */
import type { Redis } from "ioredis";
import { InfrastructureError, InvalidInputError, messageOf } from "../contract/errors.ts";

export interface KeyCopy {
  readonly key: string;
  /** Time left, undefined for a key that does not expire. */
  readonly ttlMs: number | undefined;
  /** As DUMP gives it. */
  readonly value: Buffer;
}

/** Shorter than what a call waits for its answer: nobody fails because of a copy. */
const MAX_PAUSE_MS = 8_000;
const PAGE = 500;

/** What belongs to processes that run now, or to a login, and means nothing later. */
const OF_THE_MOMENT =
  /^(?:(?:leader|workers|loads|drains|unrest|[a-z]+\.[a-z0-9_-]+@\d+:stalled-check)$|(?:worker|lost|wake|board):)|:lock$/;

/** Whether a key is part of a copy. `kp` is the result of `keyPrefix`. */
export function isCopied(kp: string, key: string): boolean {
  return key.startsWith(`${kp}:`) && !OF_THE_MOMENT.test(key.slice(kp.length + 1));
}

/** Hands each key to `take`; how many there were. @throws {InfrastructureError} when it took too long to be of one moment */
export async function copyKeys(redis: Redis, kp: string, take: (copy: KeyCopy) => Promise<void>): Promise<number> {
  const startedMs = performance.now();
  await redis.client("PAUSE", MAX_PAUSE_MS, "WRITE");
  let keys = 0;
  try {
    for await (const page of pagesOf(redis, kp)) {
      const copies = await Promise.all(page.filter((key) => isCopied(kp, key)).map((key) => copyOf(redis, key)));
      for (const copy of copies) {
        if (copy === undefined) continue;
        await take(copy);
        keys += 1;
      }
      if (performance.now() - startedMs > MAX_PAUSE_MS) throw tooSlow(keys);
    }
    return keys;
  } finally {
    await redis.client("UNPAUSE");
  }
}

function tooSlow(keys: number): InfrastructureError {
  return new InfrastructureError(
    `expected to read all keys within ${MAX_PAUSE_MS / 1_000} s, found ${keys} and more; try again while fewer jobs wait`,
  );
}

/** Each key once, though SCAN may name it twice. */
async function* pagesOf(redis: Redis, kp: string): AsyncGenerator<readonly string[]> {
  const seen = new Set<string>();
  for await (const page of redis.scanStream({ match: `${kp}:*`, count: PAGE })) {
    const fresh = (page as readonly string[]).filter((key) => !seen.has(key));
    for (const key of fresh) seen.add(key);
    yield [...new Set(fresh)];
  }
}

async function copyOf(redis: Redis, key: string): Promise<KeyCopy | undefined> {
  const [value, ttl] = await Promise.all([redis.callBuffer("DUMP", key), redis.pttl(key)]);
  // It expired in between.
  if (!Buffer.isBuffer(value)) return undefined;
  return { key, value, ttlMs: ttl < 0 ? undefined : ttl };
}

/** Puts keys where none of them is. @throws {InvalidInputError} for a value that this server cannot read */
export async function putKeys(redis: Redis, copies: readonly KeyCopy[]): Promise<void> {
  await Promise.all(
    copies.map(async ({ key, ttlMs, value }) => {
      // 0 is no expiry; a key whose time is over ends at once.
      const ttl = ttlMs === undefined ? 0 : Math.max(1, ttlMs);
      try {
        await redis.restore(key, ttl, value);
      } catch (error) {
        const found = messageOf(error);
        if (!/^(?:BUSYKEY|ERR (?:DUMP|Bad data))/.test(found)) throw error;
        const expected = "a key that is not there, and a value that this server's version reads";
        throw new InvalidInputError("copy of redis", [{ where: key, expected, found }], { cause: error });
      }
    }),
  );
}

/** How many keys of a deployment there are, counted up to a page. */
export async function countKeys(redis: Redis, kp: string): Promise<number> {
  for await (const page of pagesOf(redis, kp)) if (page.length > 0) return page.length;
  return 0;
}
