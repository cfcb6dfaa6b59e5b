/**
 * The idempotency keys of a client: which run a key stands for, and the digest of what was asked for under it.
 *
 * A key is claimed under the id that its run will have; who comes meanwhile waits for that run. A run that is refused gives
 * its key back. A caller that dies before its run is there leaves a key that stands for nothing: the next one takes it over.
 *
 * Value of a key: the id, a space and the digest. Earlier versions kept the id alone.
 */
import type { Redis } from "ioredis";
import { IdempotencyKeyReusedError } from "../contract/errors.ts";
import type { RunRecord } from "../contract/run-record.ts";
import type { RunRequest } from "../contract/run-request.ts";
import type { Clock } from "../platform/clock.ts";
import { Script } from "../platform/script.ts";
import { bodyDigest } from "./idempotency.ts";

export interface RunKeysDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly clock: Clock;
  /** The run of a key that is held under this id, if there is one by now. */
  readonly findRun: (key: string, id: string) => Promise<RunRecord | undefined>;
}

/** A request under a key, with the id of its run to be. */
export interface KeyedRequest {
  readonly key: string;
  readonly id: string;
  readonly request: RunRequest;
}

const KEEP_SECONDS = 86_400;
/** A run is there moments after its key, unless its caller is gone. */
const WAIT_MS = 5_000;
const POLL_MS = 20;

export class RunKeys {
  readonly #deps: RunKeysDeps;

  constructor(deps: RunKeysDeps) {
    this.#deps = deps;
  }

  /** The run that the key stands for; undefined when the key is this request's. @throws {IdempotencyKeyReusedError} */
  async claim(keyed: KeyedRequest): Promise<RunRecord | undefined> {
    const { redis, clock, findRun } = this.#deps;
    const digest = digestOf(keyed);
    const untilMs = clock.monotonicMs() + WAIT_MS;
    for (;;) {
      const own = `${keyed.id} ${digest}`;
      const held = await redis.set(this.#nameOf(keyed.key), own, "EX", KEEP_SECONDS, "NX", "GET");
      if (held === null) {
        const earlier = await findRun(keyed.key, keyed.id);
        // Of a key that only the store knows nobody can say what was asked for under it.
        if (earlier !== undefined) await this.#release(keyed.key, own);
        return earlier;
      }
      const [heldId = "", heldDigest = digest] = held.split(" ", 2);
      if (heldDigest !== digest) throw new IdempotencyKeyReusedError();
      const run = await findRun(keyed.key, heldId);
      if (run !== undefined) return run;
      if (clock.monotonicMs() < untilMs) await clock.sleep(POLL_MS);
      else await this.#release(keyed.key, held);
    }
  }

  /** Lets the key go again, if it is this request's: it was refused. */
  async release(keyed: KeyedRequest): Promise<void> {
    await this.#release(keyed.key, `${keyed.id} ${digestOf(keyed)}`);
  }

  async #release(key: string, value: string): Promise<void> {
    await RELEASE.run(this.#deps.redis, [this.#nameOf(key)], [value]);
  }

  #nameOf(key: string): string {
    return `${this.#deps.kp}:idempotency:${key}`;
  }
}

/** A trace is of the call, not of what is asked for. */
function digestOf({ request }: KeyedRequest): string {
  return bodyDigest({ ...request, traceId: undefined });
}

/** Deletes a key that has this value. KEYS[1] key. ARGV[1] value. Returns how many were deleted. */
const RELEASE = new Script(`
if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end
return 0
`);
