/**
 * What the next job of a queue is expected to take. A queue is known by its size bucket, and any job of it fits the upper
 * edge of that. Where there is no room for so much, the job itself is looked at before it is claimed: it may take less,
 * or do so later, or have been put there before more was known of its kind.
 */
import type { Redis } from "ioredis";
import type { Expectation } from "../contract/expectation.ts";
import { jobs, type ChunkJobName, type Payload } from "../contract/jobs.ts";
import { isPassing, messageOf } from "../contract/errors.ts";
import { isUnknown } from "../platform/learned/calibration.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { Script } from "../platform/script.ts";
import type { LearnedRuns } from "./governor/learned-runs.ts";
import type { UsualJob } from "./governor/self-tuning.ts";
import type { Lane } from "./lane.ts";
import type { LargestJob } from "./largest-job.ts";
import { memoryNeed } from "./memory-need.ts";
import type { RunCache } from "./run-cache.ts";

/** The job that would be fetched next, and what its processes are expected to take. */
export interface QueueHead extends UsualJob {
  readonly jobId: string;
  /** Of its run: lower goes first. */
  readonly priority: number;
}

/**
 * Which of two jobs is let in first where room is short: by priority; then one of a kind of which little is known, so that
 * more is; then the one that takes the most memory for the longest, for the small ones fit beside it and after it.
 */
export function compareHeads(a: QueueHead, b: QueueHead): number {
  return (
    a.priority - b.priority ||
    Number(isUnknown(b.expectation)) - Number(isUnknown(a.expectation)) ||
    areaOf(b) - areaOf(a)
  );
}

function areaOf({ expectation, lastsMs }: QueueHead): number {
  return expectation.memoryBytes.p95 * (lastsMs ?? 0);
}

export interface QueueHeadsDeps {
  readonly redis: Redis;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly runs: Pick<RunCache, "load">;
  readonly learned: Pick<LearnedRuns, "ready" | "expectChunk" | "lastsMs" | "chunkBytes">;
  readonly largestJob: Pick<LargestJob, "bytes">;
}

/** What is known of a kind changes while its jobs wait. */
const KEPT_MS = 1_000;

/** In the order in which BullMQ's fetch takes them: `wait` from its right end, then the first of `prioritized`. */
const FIRST = new Script(`
local id = redis.call('LINDEX', KEYS[1], -1) or redis.call('ZRANGE', KEYS[2], 0, 0)[1]
if not id then return nil end
return { id, redis.call('HGET', KEYS[3] .. id, 'data') }
`);

export class QueueHeads {
  readonly #deps: QueueHeadsDeps;
  readonly #heads = new Map<string, { readonly head: QueueHead | undefined; readonly atMs: number }>();

  constructor(deps: QueueHeadsDeps) {
    this.#deps = deps;
  }

  /** The next job of the queue as it was last seen; undefined when nobody has looked since the last claim. */
  of(queue: string): QueueHead | undefined {
    return this.#heads.get(queue)?.head;
  }

  forget(queue: string): void {
    this.#heads.delete(queue);
  }

  /** Looks at the next job of a queue, unless that was done a moment ago. Whether there is one. */
  async look(lane: Lane): Promise<boolean> {
    const queue = lane.place.name;
    const nowMs = this.#deps.clock.monotonicMs();
    if (nowMs - (this.#heads.get(queue)?.atMs ?? -Infinity) < KEPT_MS) return true;
    this.#heads.delete(queue);
    const first = await FIRST.run(this.#deps.redis, lane.headKeys, []);
    const [jobId, data] = Array.isArray(first) ? (first as [string, string | null]) : [];
    if (jobId === undefined || typeof data !== "string") return false;
    this.#heads.set(queue, { head: await this.#read(jobId, data), atMs: nowMs });
    return true;
  }

  /** Undefined for a job that cannot be judged, such as one of a run that is gone: it waits for room for its size. */
  async #read(jobId: string, data: string): Promise<QueueHead | undefined> {
    try {
      return await this.#headOf(jobId, jobs.exec.payload.parse(JSON.parse(data)));
    } catch (error) {
      if (isPassing(error)) throw error;
      this.#deps.logger.warn({ jobId, reason: messageOf(error) }, "job that waits could not be looked at");
      return undefined;
    }
  }

  async #headOf(jobId: string, { runId, epoch, files }: Payload<ChunkJobName>): Promise<QueueHead> {
    const { runs, learned } = this.#deps;
    const run = await runs.load(runId, epoch);
    await learned.ready(run);
    const needOf = await memoryNeed(this.#deps, run);
    const expectation = within(learned.expectChunk(run, files), needOf(files));
    return { jobId, expectation, lastsMs: learned.lastsMs(run, files), priority: run.spec.priority };
  }
}

/** A guess that no worker could admit would keep its job waiting for ever: it is cut to what is asked for. */
function within(expectation: Expectation, bytes: number): Expectation {
  const { p50, p95 } = expectation.memoryBytes;
  return p95 <= bytes ? expectation : { ...expectation, memoryBytes: { p50: Math.min(p50, bytes), p95: bytes } };
}
