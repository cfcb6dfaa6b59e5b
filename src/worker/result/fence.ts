/**
 * The fence in front of publication (law 4) and the journal behind crash recovery.
 *
 * For each file that a chunk job has started, a hash in Redis (`keys.inflight`) holds one entry by file index. It is
 * written only by the holder of the job's lock, checked in the same script:
 *   started   { p: path, t: temporary file, c: crash digest, k: token of the holder }
 *   publish   the same with o: SHA-256 of the output, written before the rename
 * The entry is deleted once the file's row is in the store, the file will be tried again, or a loss was counted for it. So
 * the next holder of the lock knows which file ran when a worker was lost (one crash for its digest), which temporary file
 * to remove, and which output may stand there whole without a row (adopted when its digest matches). A worker that gives a
 * job back in order takes its crash digests out (`absolve`). The field `retry` holds the chunks that this one asked for.
 */
import type { Redis } from "ioredis";
import { z } from "zod";
import { keys } from "../../contract/queues.ts";
import { HEARTBEAT_KEPT_MS } from "../../contract/status.ts";
import { parseToken } from "../lane-token.ts";
import { UNREST_MS } from "./suspicion.ts";
import { Script } from "../../platform/script.ts";

const intent = z.object({
  p: z.string(),
  t: z.string(),
  c: z.string().optional(),
  o: z.string().optional(),
  k: z.string().optional(),
});
export type Intent = Readonly<z.output<typeof intent>>;

const retryPlan = z.array(
  z.object({ chunk: z.string(), delayMs: z.number(), memoryBytes: z.number().optional(), files: z.array(z.unknown()) }),
);

export interface Journal {
  readonly intents: ReadonlyMap<number, Intent>;
  /** The chunks that were asked for, as they were written; undefined when the chunk had not come that far. */
  readonly retry: z.output<typeof retryPlan> | undefined;
}

/** How long a journal may outlive its last entry, in seconds: longer than any queue holds a lost job back. */
const KEEP_SECONDS = 7 * 86_400;

export class Fence {
  readonly #redis: Redis;
  readonly #kp: string;
  readonly #lockKey: string;
  readonly #journalKey: string;
  readonly #token: string;

  constructor(redis: Redis, kp: string, place: { queue: string; jobId: string; token: string }) {
    this.#redis = redis;
    this.#kp = kp;
    this.#lockKey = `${kp}:${place.queue}:${place.jobId}:lock`;
    this.#journalKey = keys.inflight(kp, place.jobId);
    this.#token = place.token;
  }

  /** Writes entries if this worker still holds the lock; whether it does. */
  async write(entries: ReadonlyMap<number | "retry", unknown>): Promise<boolean> {
    const flat = [...entries].flatMap(([field, value]) => [String(field), this.#textOf(field, value)]);
    const held = await WRITE.run(this.#redis, [this.#lockKey, this.#journalKey], [this.#token, KEEP_SECONDS, ...flat]);
    return held === 1;
  }

  #textOf(field: number | "retry", value: unknown): string {
    return JSON.stringify(field === "retry" ? value : { ...(value as Intent), k: this.#token });
  }

  /** Forgets files that are accounted for, if this worker still holds the lock: else their entries are another's. */
  async settle(indexes: readonly number[]): Promise<boolean> {
    if (indexes.length === 0) return true;
    const fields = indexes.map(String);
    return (await this.#redis.eval(SETTLE, 2, this.#lockKey, this.#journalKey, this.#token, ...fields)) === 1;
  }

  /**
   * Counts one crash for what ran when a worker was lost, if this worker holds the lock, and forgets the entry; whether it
   * counted one. One worker counts once for a digest, however many files have it. Not when the process that held the lock
   * before still lives: then a lock was lost, and no worker.
   */
  async blame(index: number, { c = "", k = "" }: Intent): Promise<boolean> {
    const { workerId, startedAtMs } = parseToken(k);
    const kp = this.#kp;
    const counts = [keys.crashes(kp), keys.losses(kp), keys.lost(kp, workerId, startedAtMs), keys.unrest(kp)];
    const blamed = await BLAME.run(
      this.#redis,
      [this.#lockKey, this.#journalKey, keys.worker(kp, workerId), ...counts],
      [this.#token, String(index), c, startedAtMs, HEARTBEAT_KEPT_MS, KEEP_SECONDS, UNREST_MS],
    );
    return blamed === 1;
  }

  /** Says that nothing here ran when a worker was lost: it is about to give the job back, and its processes have ended. */
  async absolve(): Promise<void> {
    const { intents } = await this.read();
    const started = [...intents].filter(([, { c, o }]) => c !== undefined && o === undefined);
    if (started.length > 0) await this.write(new Map(started.map(([index, { p, t }]) => [index, { p, t }])));
  }

  /** What an earlier holder of the lock left behind. */
  async read(): Promise<Journal> {
    const fields = await this.#redis.hgetall(this.#journalKey);
    const intents = new Map<number, Intent>();
    for (const [field, json] of Object.entries(fields)) {
      if (field !== "retry") intents.set(Number(field), intent.parse(JSON.parse(json)));
    }
    return { intents, retry: fields["retry"] === undefined ? undefined : retryPlan.parse(JSON.parse(fields["retry"])) };
  }
}

/**
 * Writes journal entries only while the lock is held by this token: a worker that was thought lost cannot publish.
 * KEYS[1] lock of the job. KEYS[2] journal. ARGV[1] token. ARGV[2] seconds to keep. ARGV[3…] fields and values.
 * Returns 1 when written, 0 when the lock is gone or another's.
 */
const WRITE = new Script(
  `
if redis.call("GET", KEYS[1]) ~= ARGV[1] then return 0 end
for i = 3, #ARGV, 2 do redis.call("HSET", KEYS[2], ARGV[i], ARGV[i + 1]) end
redis.call("EXPIRE", KEYS[2], ARGV[2])
return 1
`,
  { whenFull: "runs" },
);

/**
 * Deletes journal entries only while the lock is held by this token.
 * KEYS[1] lock of the job. KEYS[2] journal. ARGV[1] token. ARGV[2…] fields.
 * Returns 1 when the lock is held, 0 when it is gone or another's.
 */
const SETTLE = `
if redis.call("GET", KEYS[1]) ~= ARGV[1] then return 0 end
for i = 2, #ARGV do redis.call("HDEL", KEYS[2], ARGV[i]) end
return 1
`;

/**
 * Counts a crash and forgets its entry, in one step, so that a worker that is lost here too counts no more.
 * KEYS[1] lock of the job. KEYS[2] journal. KEYS[3] heartbeat of the holder before. KEYS[4] crash counts. KEYS[5] counts of
 * losses. KEYS[6] what the holder before was counted for. KEYS[7] is there while workers are being lost. ARGV[1] token. ARGV[2] field. ARGV[3] digest of the crash.
 * ARGV[4] when the holder before started, by its clock. ARGV[5] how long heartbeats are kept, in ms. ARGV[6] for how many
 * seconds is known what was counted. ARGV[7] for how many ms KEYS[7] is there.
 * Returns 1 when counted, 2 when the holder before lives, 3 when it was counted for this digest before or there is none,
 * 0 when the lock is gone or another's.
 * A worker renews a lock at half its time at the latest, so one that died before this lock was free has been silent for
 * longer than half of it. A heartbeat of another start is that of a successor.
 */
const BLAME = new Script(
  `
if redis.call("GET", KEYS[1]) ~= ARGV[1] then return 0 end
redis.call("HDEL", KEYS[2], ARGV[2])
local silentMs = tonumber(ARGV[5]) - redis.call("PTTL", KEYS[3])
if redis.call("HGET", KEYS[3], "startedAtMs") == ARGV[4] and silentMs < redis.call("PTTL", KEYS[1]) / 2 then return 2 end
redis.call("SET", KEYS[7], "1", "PX", ARGV[7])
if ARGV[3] == "" or redis.call("SADD", KEYS[6], ARGV[3]) == 0 then return 3 end
redis.call("EXPIRE", KEYS[6], ARGV[6])
redis.call("HINCRBY", KEYS[4], ARGV[3], 1)
redis.call("HINCRBY", KEYS[5], ARGV[3], 1)
return 1
`,
  { whenFull: "runs" },
);
