/**
 * One leader among several schedulers: a hash in Redis that its holder renews, and that runs out when it does not. Each
 * term of a leader has a token that is greater than those of all terms before it, those of a Redis whose data was lost
 * included: it is the server's time, or one more than the last. A leader that yields, which only comes along with one run,
 * gives way to one that stays.
 */
import type { Redis } from "ioredis";
import { keys } from "../contract/queues.ts";
import { Script } from "../platform/script.ts";

/** `held`: the term goes on. `taken`: a new one begins. `other`: another scheduler leads. */
export type Taken = { readonly kind: "held" | "taken"; readonly token: number } | { readonly kind: "other" };

/**
 * Takes or renews the lease. KEYS[1] lease. KEYS[2] the last token that was given. ARGV[1] holder. ARGV[2] ms to live.
 * ARGV[3] token of the holder's term, 0 without one. ARGV[4] 1 for a holder that yields, else 0.
 * Returns the token of the holder's term now, which is another one when its lease had run out; 0 when another leads.
 */
const TAKE = new Script(
  `
local lease = redis.call("HMGET", KEYS[1], "token", "yields")
local token = lease[1]
if token and token ~= ARGV[3] and not (lease[2] == "1" and ARGV[4] == "0") then return "0" end
if token ~= ARGV[3] then
  local now = redis.call("TIME")
  local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
  token = string.format("%.0f", math.max(tonumber(redis.call("GET", KEYS[2]) or 0) + 1, now_ms))
  redis.call("SET", KEYS[2], token)
  redis.call("HSET", KEYS[1], "holder", ARGV[1], "token", token, "yields", ARGV[4], "sinceMs", string.format("%.0f", now_ms))
end
redis.call("PEXPIRE", KEYS[1], ARGV[2])
return token
`,
  { whenFull: "runs" },
);

/** Gives the lease back. KEYS[1] lease. ARGV[1] token of the term. Returns 1, or 0 when another term has begun. */
const RELEASE = new Script(`
if redis.call("HGET", KEYS[1], "token") == ARGV[1] then return redis.call("DEL", KEYS[1]) end
return 0
`);

export interface LeaseConfig {
  readonly holder: string;
  readonly ttlMs: number;
  readonly yields: boolean;
}

export class LeaderLease {
  readonly #redis: Redis;
  readonly #kp: string;
  readonly #config: LeaseConfig;

  constructor(redis: Redis, kp: string, config: LeaseConfig) {
    this.#redis = redis;
    this.#kp = kp;
    this.#config = config;
  }

  /** Leads for the next `ttlMs`, or does not. `token` is that of the term so far. */
  async take(token: number | undefined): Promise<Taken> {
    const { holder, ttlMs, yields } = this.#config;
    const places = [keys.leader(this.#kp), keys.lastTerm(this.#kp)];
    const now = Number(await TAKE.run(this.#redis, places, [holder, ttlMs, token ?? 0, Number(yields)]));
    if (now === 0) return { kind: "other" };
    return { kind: now === token ? "held" : "taken", token: now };
  }

  async release(token: number): Promise<void> {
    await RELEASE.run(this.#redis, [keys.leader(this.#kp)], [token]);
  }
}
