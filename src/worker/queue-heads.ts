/**
 * What the next jobs of a queue are expected to take. A queue is known by its size bucket, and any job of it fits the upper
 * edge of that. Where there is no room for so much, the jobs themselves are looked at before one is claimed: one may take
 * less, or do so later, or have been put there before more was known of its kind.
 *
 * Not only the first of them: of several, the one that fills a worker best is let in, and others wait. The first is passed
 * over for MAX_SKIP_MS at most; then it alone counts, so none waits for ever, and room is kept for it as for any that has
 * waited long.
 */
import type { Redis } from "ioredis";
import type { Expectation } from "../contract/expectation.ts";
import { KiB } from "../contract/resources.ts";
import { jobs, PAYLOAD_VERSION, payloadVersionOf, type ChunkJobName, type Payload } from "../contract/jobs.ts";
import { isPassing, messageOf, NewerSpecError } from "../contract/errors.ts";
import { isUnknown } from "../platform/learned/calibration.ts";
import { classOf } from "../platform/learned/class-key.ts";
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
  /** Others wait in front of it. */
  readonly isBehind: boolean;
}

/**
 * Which of two jobs is let in first where room is short: by priority; then one of a kind of which little is known, so that
 * more is, the least known first; then the one that takes the most memory for the longest, for the small ones fit beside it and after it.
 */
export function compareHeads(a: Judged, b: Judged): number {
  return (
    a.priority - b.priority ||
    Number(isUnknown(b.expectation)) - Number(isUnknown(a.expectation)) ||
    (isUnknown(a.expectation) ? a.expectation.samples - b.expectation.samples : 0) ||
    areaOf(b) - areaOf(a)
  );
}

function areaOf({ expectation, lastsMs }: Judged): number {
  return expectation.memoryBytes.p95 * (lastsMs ?? 0);
}

type Judged = Omit<QueueHead, "isBehind">;

export interface QueueHeadsDeps {
  /** `nextJobs`. */
  readonly next: (lane: Lane) => Promise<readonly string[]>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly runs: Pick<RunCache, "loadFor">;
  readonly learned: Pick<LearnedRuns, "ready" | "expectChunk" | "lastsMs" | "chunkBytes">;
  readonly largestJob: Pick<LargestJob, "bytes">;
}

/** What is known of a kind changes while its jobs wait. */
const KEPT_MS = 1_000;
/** So many jobs of a queue are looked at, or fewer with much to say: 16 of 200 fill a worker nearly as well as all would. */
export const HEAD_WINDOW = 16;
const WINDOW_BYTES = 32 * KiB;
const MAX_SKIP_MS = 10_000;

/**
 * The next jobs in the order in which BullMQ's fetch takes them: `wait` from its right end, or else the first of
 * `prioritized`, or else the first of `delayed` that is due: a fetch moves it to those that wait, and without one nothing
 * would. KEYS[1] `wait`. KEYS[2] `prioritized`. KEYS[3] what the key of a job begins with. KEYS[4] `delayed`, whose scores
 * are ms times 0x1000. ARGV[1] how many. ARGV[2] bytes of data after which no more are added. ARGV[3] now, in ms since 1970.
 * Returns ids and data in turn; empty data where a job has none.
 */
const FIRST = new Script(`
local found, bytes = {}, 0
local function add(id)
  local data = redis.call("HGET", KEYS[3] .. id, "data") or ""
  found[#found + 1] = id
  found[#found + 1] = data
  bytes = bytes + #data
end
for at = 1, tonumber(ARGV[1]) do
  local id = redis.call("LINDEX", KEYS[1], -at)
  if not id or bytes >= tonumber(ARGV[2]) then break end
  add(id)
end
local id = #found == 0 and redis.call("ZRANGE", KEYS[2], 0, 0)[1]
if id then add(id) end
local due = #found == 0 and redis.call("ZRANGEBYSCORE", KEYS[4], 0, (ARGV[3] + 1) * 0x1000 - 1, "LIMIT", 0, 1)[1]
if due then add(due) end
return found
`);

/** Tells ids and data, in turn, of the next jobs of a queue in Redis. */
export function nextJobs(redis: Redis): QueueHeadsDeps["next"] {
  return async (lane) => (await FIRST.run(redis, lane.headKeys, [HEAD_WINDOW, WINDOW_BYTES, Date.now()])) as string[];
}

interface Seen {
  /** Those that could be judged, best first. */
  readonly jobs: readonly QueueHead[];
  readonly firstJobId: string;
  /** When the first job was first seen to be the first. */
  readonly firstSinceMs: number;
  readonly atMs: number;
}

export class QueueHeads {
  readonly #deps: QueueHeadsDeps;
  readonly #seen = new Map<string, Seen>();

  constructor(deps: QueueHeadsDeps) {
    this.#deps = deps;
  }

  /**
   * The jobs of the queue that may be let in next, best first, as they were last seen; none when nobody has looked since the
   * last claim, or the first one cannot be judged.
   */
  of(queue: string): readonly QueueHead[] {
    return this.#seen.get(queue)?.jobs ?? [];
  }

  forget(queue: string): void {
    const seen = this.#seen.get(queue);
    // Since when its first job is the first is still worth knowing.
    if (seen !== undefined) this.#seen.set(queue, { ...seen, jobs: [], atMs: -Infinity });
  }

  /** Looks at the next jobs of a queue, unless that was done a moment ago. Whether there is one. */
  async look(lane: Lane): Promise<boolean> {
    const queue = lane.place.name;
    const nowMs = this.#deps.clock.monotonicMs();
    const before = this.#seen.get(queue);
    if (before !== undefined && nowMs - before.atMs < KEPT_MS) return true;
    const found = await this.#deps.next(lane);
    const [firstJobId] = found;
    if (firstJobId === undefined) {
      this.#seen.delete(queue);
      return false;
    }
    const firstSinceMs = before?.firstJobId === firstJobId ? before.firstSinceMs : nowMs;
    const judged = await this.#readAll(found, nowMs - firstSinceMs >= MAX_SKIP_MS ? 1 : HEAD_WINDOW);
    this.#seen.set(queue, { jobs: judged, firstJobId, firstSinceMs, atMs: nowMs });
    return true;
  }

  /** Best first; none when the first of the queue cannot be judged: room for any job of its size is waited for then. */
  async #readAll(found: readonly string[], most: number): Promise<readonly QueueHead[]> {
    const judged: QueueHead[] = [];
    for (let at = 0; at < Math.min(found.length, 2 * most); at += 2) {
      const job = await this.#read(found[at] ?? "", found[at + 1] ?? "");
      if (job !== undefined) judged.push({ ...job, isBehind: at > 0 });
      else if (at === 0) return [];
    }
    return judged.toSorted(compareHeads);
  }

  /** Undefined for a job that cannot be judged, such as one of a run that is gone: it waits for room for its size. */
  async #read(jobId: string, data: string): Promise<Judged | undefined> {
    try {
      const read: unknown = JSON.parse(data);
      // Left to workers that understand it (lane.ts); nothing to tell of here.
      if (payloadVersionOf(read) > PAYLOAD_VERSION) return undefined;
      return await this.#headOf(jobId, jobs.exec.payload.parse(read));
    } catch (error) {
      if (isPassing(error)) throw error;
      if (error instanceof NewerSpecError) return undefined;
      this.#deps.logger.warn({ jobId, reason: messageOf(error) }, "job that waits could not be looked at");
      return undefined;
    }
  }

  async #headOf(jobId: string, { runId, epoch, files }: Payload<ChunkJobName>): Promise<Judged> {
    const { runs, learned } = this.#deps;
    const run = await runs.loadFor(runId, epoch, files);
    await learned.ready(run);
    const needOf = await memoryNeed(this.#deps, run);
    const expectation = within(learned.expectChunk(run, files), needOf(files));
    const lastsMs = learned.lastsMs(run, files);
    return { jobId, expectation, lastsMs, kind: classOf(run.spec).key, priority: run.spec.priority };
  }
}

/** A guess that no worker could admit would keep its job waiting for ever: it is cut to what is asked for. */
function within(expectation: Expectation, bytes: number): Expectation {
  const { p50, p95 } = expectation.memoryBytes;
  return p95 <= bytes ? expectation : { ...expectation, memoryBytes: { p50: Math.min(p50, bytes), p95: bytes } };
}
