/** A Lua script that travels once: sent by its digest, and whole only to a server that does not know it yet. */
import type { Redis } from "ioredis";
import { createHash } from "node:crypto";

/**
 * Put before a script: once it has written, Redis lets a script go on though its memory is full. A deletion is a write that
 * is always taken, and there is nothing under this key. `#!lua flags=allow-oom` says the same, but only from Redis 7 on.
 */
const GOES_ON_WHEN_FULL = 'redis.call("DEL", KEYS[1] .. ":none")\n';

export class Script {
  readonly #lua: string;
  readonly #sha: string;

  /**
   * `whenFull`: `runs` for what running jobs need to come to their end, of which there is only so much; all else is refused
   * while the memory of Redis is full.
   */
  constructor(text: string, { whenFull = "refused" }: { readonly whenFull?: "runs" | "refused" } = {}) {
    const lua = whenFull === "runs" ? GOES_ON_WHEN_FULL + text : text;
    this.#lua = lua;
    this.#sha = createHash("sha1").update(lua).digest("hex");
  }

  /** Runs the script atomically; its answer as Redis gives it. */
  async run(redis: Redis, keys: readonly string[], args: readonly (string | number | Buffer)[]): Promise<unknown> {
    try {
      return await redis.evalsha(this.#sha, keys.length, ...keys, ...args);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith("NOSCRIPT")) throw error;
      return redis.eval(this.#lua, keys.length, ...keys, ...args);
    }
  }
}
