/**
 * What all workers have learned of a profile and a binary, in one Redis hash each. Every update is additive, so that
 * workers share it without a leader and without reading before they write.
 *
 * Fields: `files` (weight), `ms` (time of them), `max` (largest peak in bytes), `b<i>` (weight of the peaks in bucket i,
 * five per cent wide). Once the weight passes `HALVE_AT` all weights are halved: what a binary did long ago fades.
 */
import type { Redis } from "ioredis";
import { keys } from "../../contract/queues.ts";
import { MiB } from "../../contract/resources.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Service } from "../../platform/lifecycle.ts";
import type { Logger } from "../../platform/logger.ts";
import type { LearnedDemand } from "./demand.ts";

/** One measured file. */
export interface MeasuredFile {
  readonly durationMs: number;
  readonly peakBytes: number;
}

const GROWTH = 1.05;
const FLUSH_MS = 1_000;
const CACHE_MS = 5_000;
const HALVE_AT = 2_000;
const KEEP_SECONDS = 90 * 24 * 3_600;
const QUANTILE = 0.95;
const MAX_CACHED = 1_000;

/**
 * Adds one batch, atomically. KEYS[1]: the hash. ARGV: largest peak, weight to halve at, seconds to keep, then pairs of
 * (field, amount). Returns the weight afterwards.
 */
const ADD = `
for i = 4, #ARGV, 2 do redis.call('HINCRBYFLOAT', KEYS[1], ARGV[i], ARGV[i + 1]) end
local max = tonumber(redis.call('HGET', KEYS[1], 'max') or '0')
if tonumber(ARGV[1]) > max then redis.call('HSET', KEYS[1], 'max', ARGV[1]) end
local weight = tonumber(redis.call('HGET', KEYS[1], 'files') or '0')
if weight > tonumber(ARGV[2]) then
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    if all[i] ~= 'max' then redis.call('HSET', KEYS[1], all[i], tostring(tonumber(all[i + 1]) / 2)) end
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return tostring(weight)
`;

interface Batch {
  files: number;
  ms: number;
  maxPeakBytes: number;
  readonly buckets: Map<number, number>;
}

interface Cached {
  readonly readAtMs: number;
  readonly value: Promise<LearnedDemand | undefined>;
}

/** The name under which figures of a profile and a binary are kept. */
export function learnedKey(profile: string, binarySha256: string): string {
  return `${profile}:${binarySha256}`;
}

/** Collects what this worker measures, adds it to what all have learned, and reads that back. */
export class LearnedDemands implements Service {
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #batches = new Map<string, Batch>();
  readonly #cache = new Map<string, Cached>();
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> = Promise.resolve();

  /** `prefix` is the result of `keyPrefix`. */
  constructor(deps: { redis: Redis; prefix: string; clock: Clock; logger: Logger }) {
    this.#redis = deps.redis;
    this.#prefix = deps.prefix;
    this.#clock = deps.clock;
    this.#logger = deps.logger;
  }

  start(): Promise<void> {
    this.#timer ??= setInterval(() => {
      void this.flush();
    }, FLUSH_MS);
    this.#timer.unref();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.flush();
  }

  /** Notes one file. It reaches Redis within a second; figures that are no numbers are left out. */
  record(key: string, file: MeasuredFile): void {
    if (!(file.durationMs >= 0) || !(file.peakBytes >= 0)) return;
    const batch = this.#batches.get(key) ?? { files: 0, ms: 0, maxPeakBytes: 0, buckets: new Map<number, number>() };
    batch.files += 1;
    batch.ms += file.durationMs;
    batch.maxPeakBytes = Math.max(batch.maxPeakBytes, file.peakBytes);
    const bucket = peakBucket(file.peakBytes);
    batch.buckets.set(bucket, (batch.buckets.get(bucket) ?? 0) + 1);
    this.#batches.set(key, batch);
  }

  /** What is known, at most five seconds old; undefined when nothing is. @throws when Redis does not answer */
  load(key: string): Promise<LearnedDemand | undefined> {
    const nowMs = this.#clock.monotonicMs();
    const cached = this.#cache.get(key);
    if (cached !== undefined && nowMs - cached.readAtMs < CACHE_MS) return cached.value;
    if (this.#cache.size >= MAX_CACHED) this.#cache.clear();
    const value = this.#redis.hgetall(keys.learned(this.#prefix, key)).then(parseLearned);
    this.#cache.set(key, { readAtMs: nowMs, value });
    // A failed reading is not kept: the next caller asks Redis again.
    value.catch(() => this.#cache.delete(key));
    return value;
  }

  /** Sends what was noted. Figures that Redis does not take are dropped: they are measured again with the next files. */
  flush(): Promise<void> {
    this.#flushing = this.#flushing.then(() => this.#send());
    return this.#flushing;
  }

  async #send(): Promise<void> {
    const batches = this.#batches;
    this.#batches = new Map();
    for (const [key, batch] of batches) {
      try {
        await this.#redis.eval(ADD, 1, keys.learned(this.#prefix, key), ...argumentsOf(batch));
      } catch (error) {
        this.#logger.warn({ err: error, files: batch.files }, "learned figures could not be stored and are dropped");
      }
    }
  }
}

function argumentsOf(batch: Batch): (string | number)[] {
  const buckets = [...batch.buckets].flatMap(([bucket, weight]) => [`b${bucket}`, weight]);
  return [batch.maxPeakBytes, HALVE_AT, KEEP_SECONDS, "files", batch.files, "ms", batch.ms, ...buckets];
}

/** Buckets of five per cent above one MiB; all below are one. */
function peakBucket(bytes: number): number {
  return Math.max(0, Math.ceil(Math.log(Math.max(1, bytes) / MiB) / Math.log(GROWTH)));
}

function upperEdge(bucket: number): number {
  return Math.ceil(MiB * GROWTH ** bucket);
}

/** The figures in a hash as stored; undefined when it holds none. A field that is no number counts as 0. */
export function parseLearned(hash: Readonly<Record<string, string>>): LearnedDemand | undefined {
  const number = (field: string) => Number(hash[field] ?? 0) || 0;
  const files = number("files");
  if (files <= 0) return undefined;
  const maxPeakBytes = number("max");
  const buckets = Object.keys(hash)
    .filter((field) => /^b\d+$/.test(field))
    .map((field) => ({ bucket: Number(field.slice(1)), weight: number(field) }))
    .toSorted((a, b) => a.bucket - b.bucket);
  let below = 0;
  const found = buckets.find(({ weight }) => (below += weight) >= QUANTILE * files);
  const edge = found === undefined ? maxPeakBytes : upperEdge(found.bucket);
  return {
    durationMsPerFile: number("ms") / files,
    peakBytes: Math.min(edge, Math.max(maxPeakBytes, 1)),
    maxPeakBytes,
    n: files,
  };
}
