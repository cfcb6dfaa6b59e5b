/** One leader among several schedulers: a key in Redis that its holder renews, and that runs out when it does not. */
import type { Redis } from "ioredis";
import { keys } from "../contract/queues.ts";

/**
 * Takes or renews the lease. KEYS[1] lease. ARGV[1] holder. ARGV[2] ms to live.
 * Returns 1 when this holder has it now, 0 when another has it.
 */
const TAKE = `
local holder = redis.call("GET", KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
return 1
`;
const RELEASE = 'if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0';

export class LeaderLease {
  readonly #redis: Redis;
  readonly #key: string;
  readonly #holder: string;
  readonly #ttlMs: number;

  constructor(redis: Redis, kp: string, lease: { holder: string; ttlMs: number }) {
    this.#redis = redis;
    this.#key = keys.leader(kp);
    this.#holder = lease.holder;
    this.#ttlMs = lease.ttlMs;
  }

  /** Whether this holder leads for the next `ttlMs`. */
  async hold(): Promise<boolean> {
    return (await this.#redis.eval(TAKE, 1, this.#key, this.#holder, this.#ttlMs)) === 1;
  }

  async release(): Promise<void> {
    await this.#redis.eval(RELEASE, 1, this.#key, this.#holder);
  }
}
