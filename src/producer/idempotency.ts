/**
 * Remembers which body came under which Idempotency-Key, and which run it became. The body's own digest is kept, because
 * the stored spec cannot say whether a caller still means the same: defaults and paths were filled in.
 *
 * Value of a key: the digest of the body, then, once the run is there, a space and its id.
 */
import type { Redis } from "ioredis";
import { IdempotencyKeyReusedError } from "../contract/errors.ts";
import { digestOf } from "../platform/http/access.ts";

/** As long as any caller may still repeat its request. */
const KEEP_SECONDS = 7 * 86_400;

/** What a key says of a body that matches it. Without a run, its first request is still at work, or was cut off. */
export type Claim = { readonly kind: "first" } | { readonly kind: "repeated"; readonly runId: string | undefined };

/** Claims keys for bodies; the first body under a key holds it. */
export class IdempotencyKeys {
  readonly #redis: Redis;
  readonly #prefix: string;

  constructor(redis: Redis, prefix: string) {
    this.#redis = redis;
    this.#prefix = prefix;
  }

  /** @throws {IdempotencyKeyReusedError} when another body holds the key. */
  async claim(key: string, body: unknown): Promise<Claim> {
    const digest = bodyDigest(body);
    const held = await this.#redis.set(this.#keyOf(key), digest, "EX", KEEP_SECONDS, "NX", "GET");
    if (held === null) return { kind: "first" };
    const [heldDigest, runId] = held.split(" ", 2);
    if (heldDigest === digest) return { kind: "repeated", runId };
    throw new IdempotencyKeyReusedError();
  }

  /** Says which run the body under the key became. */
  async settle(key: string, body: unknown, runId: string): Promise<void> {
    await this.#redis.set(this.#keyOf(key), `${bodyDigest(body)} ${runId}`, "EX", KEEP_SECONDS);
  }

  /** Lets the key go again: its body was refused, and the caller may mend it. */
  async release(key: string): Promise<void> {
    await this.#redis.del(this.#keyOf(key));
  }

  #keyOf(key: string): string {
    return `${this.#prefix}:idempotency-body:${digestOf(key)}`;
  }
}

/** SHA-256 of the value, whatever the order of its keys. */
export function bodyDigest(body: unknown): string {
  return digestOf(canonicalJson(body));
}

/** JSON with the keys of every object in order, so that equal values have equal texts. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part !== "object" || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  });
}
