/** How often a sign-in may fail: per address, and for all addresses together, so that many machines gain nothing. */
import type { Redis } from "ioredis";
import { RequestError } from "../../platform/http/problem.ts";

const WINDOW_SECONDS = 60;
const MAX_FAILURES_OF_ADDRESS = 5;
const MAX_FAILURES = 100;

/**
 * Counts one failure and returns the count of its window, which begins with the first one.
 * KEYS[1] the counter. ARGV[1] seconds that a window lasts.
 */
const COUNT = `
local count = redis.call("INCR", KEYS[1])
if redis.call("TTL", KEYS[1]) < 0 then redis.call("EXPIRE", KEYS[1], ARGV[1]) end
return count
`;

/**
 * Takes one attempt back, as long as its window lasts; a counter that has expired stays away.
 * KEYS[1] the counter. Returns 1 when it was taken back, else 0.
 */
const TAKE_BACK = `
if redis.call("EXISTS", KEYS[1]) == 0 then return 0 end
redis.call("DECR", KEYS[1])
return 1
`;

/** Counts failures in Redis, so that all boards of a cluster count together. */
export class LoginLimit {
  readonly #redis: Redis;
  readonly #prefix: string;

  constructor(redis: Redis, prefix: string) {
    this.#redis = redis;
    this.#prefix = prefix;
  }

  /** Counts an attempt before the token is looked at. @throws {RequestError} 429 when there were too many */
  async take(address: string): Promise<void> {
    const [ofAddress, ofAll] = await Promise.all([this.#count(`address:${address}`), this.#count("all")]);
    if (ofAddress <= MAX_FAILURES_OF_ADDRESS && ofAll <= MAX_FAILURES) return;
    const headers = { "Retry-After": String(WINDOW_SECONDS) };
    const detail = `too many sign-ins failed; try again in ${WINDOW_SECONDS} s`;
    throw new RequestError(429, detail, { code: "ERR_TOO_MANY_LOGINS", headers });
  }

  /** Forgets the failures of an address that has signed in. */
  async clear(address: string): Promise<void> {
    await this.#redis.del(this.#keyOf(`address:${address}`));
    await this.#redis.eval(TAKE_BACK, 1, this.#keyOf("all"));
  }

  async #count(name: string): Promise<number> {
    return (await this.#redis.eval(COUNT, 1, this.#keyOf(name), WINDOW_SECONDS)) as number;
  }

  #keyOf(name: string): string {
    return `${this.#prefix}:board:logins:${name}`;
  }
}
