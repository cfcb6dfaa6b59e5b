/**
 * A worker's reader of one queue. It uses BullMQ's Worker for what it does well (fetching by script, completion, retries,
 * lock renewal, the stalled check) and never runs BullMQ's own loop, which fetches past any gate (it fetches the next job
 * while it completes one, and a paused worker still starts what its blocking read had seen).
 *
 * Built on two members that BullMQ does not promise: `lockManager` (protected) and `blockUntil` (private). Both are
 * asserted when a lane opens, and BullMQ's version is pinned.
 */
import {
  Worker,
  WaitingError,
  type BackendFactory,
  type Job,
  createRedisBackend,
  type RedisQueueBackend,
} from "bullmq";
import type { Redis } from "ioredis";
import { LeaseLostError, messageOf } from "../contract/errors.ts";
import { parseQueueName, queueName } from "../contract/queues.ts";
import { systemClock } from "../platform/clock.ts";
import { profileOfPlace, type QueuePlace } from "../platform/job-queues.ts";
import type { Logger } from "../platform/logger.ts";
import type { Metrics } from "../platform/metrics.ts";
import { Script } from "../platform/script.ts";
import { Seldom } from "../platform/seldom.ts";
import { lockToken, type WorkerProcess } from "./lane-token.ts";

export interface LaneConfig {
  readonly prefix: string;
  readonly lockMs: number;
  readonly stalledCheckMs: number;
}

const LOG_EVERY_MS = 10_000;

/** What a claimed job runs with. `signal` is aborted with a reason when its lease is lost or its worker stops. */
export interface ClaimedJob {
  readonly job: Job;
  /** The profile whose jobs its queue holds. */
  readonly profile: string;
  readonly token: string;
  readonly signal: AbortSignal;
}

/** Thrown by a handler to give the job back: it runs again, here or elsewhere, and no attempt is burned. */
export class HandBack extends Error {
  readonly delayMs: number;

  constructor(reason: string, delayMs: number) {
    super(reason);
    this.name = "HandBack";
    this.delayMs = delayMs;
  }
}

/** The job was added by a newer version and carries what this one does not understand: it is left for workers that do. */
export class NewerPayload extends HandBack {
  /** What this version does not understand of it. */
  readonly what: string;

  constructor(what: string) {
    super(`expected a job that this version understands, found ${what}: upgrade this worker`, NEWER_MS);
    this.name = "NewerPayload";
    this.what = what;
  }
}

/** Long enough that a worker which can takes it, short enough that nobody waits for long. */
const NEWER_MS = 1_000;
/** So long a lane that met a newer job is left to others; jobs of its own version may stand behind it. */
const LANE_LEFT_MS = 5_000;

/** The job that a claim is for. */
export interface Wanted {
  readonly jobId: string;
  /** Others wait in front of it: it is put before them. */
  readonly isBehind: boolean;
  /** There is room for it alone: any other job is given back. */
  readonly isOnly: boolean;
}

/**
 * Puts a waiting job in front of those that wait with it, so that the next fetch takes it. KEYS[1] BullMQ's list of those
 * that wait. ARGV[1] the job. Returns 1, or 0 when it does not wait there (any more), and then nothing has changed.
 */
const PUT_FIRST = new Script(`
if redis.call("LREM", KEYS[1], -1, ARGV[1]) == 0 then return 0 end
redis.call("RPUSH", KEYS[1], ARGV[1])
return 1
`);

/**
 * Renews the locks of running jobs, also while the memory of Redis is full: BullMQ's own script is refused then, and what
 * runs would be taken for lost. KEYS[1] BullMQ's set of jobs that may have stalled. KEYS[2…] locks. ARGV[1] ms that they
 * are held. ARGV[2…] for each lock its job and the token that must hold it. Returns the jobs whose locks are another's.
 */
const RENEW = new Script(
  `
local lost = {}
for i = 2, #KEYS do
  local job, token = ARGV[2 * i - 2], ARGV[2 * i - 1]
  if redis.call("GET", KEYS[i]) == token then
    redis.call("SET", KEYS[i], token, "PX", ARGV[1])
    redis.call("SREM", KEYS[1], job)
  else
    lost[#lost + 1] = job
  end
end
return lost
`,
  { whenFull: "runs" },
);

/** A node loss is found out by its lock; it must never end a job, so BullMQ's own limit is out of reach. */
const MAX_STALLED = 1_000_000;

/** Without a blocking connection of its own: the pull loop waits for all lanes at once. */
const withoutBlocking: BackendFactory<RedisQueueBackend> = (name, options, more) =>
  createRedisBackend(name, options, { ...more, withBlockingConnection: false });

class LaneWorker extends Worker {
  override async extendJobLocks(jobIds: string[], tokens: string[], duration: number): Promise<string[]> {
    const base = `${this.qualifiedName}:`;
    const locks = jobIds.map((id) => `${base}${id}:lock`);
    const held = jobIds.flatMap((id, at) => [id, tokens[at] ?? ""]);
    const redis = this.opts.connection as Redis;
    return (await RENEW.run(redis, [`${base}stalled`, ...locks], [duration, ...held])) as string[];
  }

  startLocks(): void {
    this.lockManager.start();
  }

  /** When the next delayed job of this queue is due, in ms since 1970; 0 when there is none. */
  get nextDueMs(): number {
    const value: unknown = Reflect.get(this, "blockUntil");
    if (typeof value !== "number") throw new TypeError("bullmq: expected Worker.blockUntil to be a number");
    return value;
  }
}

export interface LaneDeps {
  readonly redis: Redis;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly worker: WorkerProcess;
  run(claimed: ClaimedJob): Promise<void>;
  /** The job is completed or failed in Redis; what was kept for its recovery can go. */
  onEnded(job: Job): void;
}

export class Lane {
  #place: QueuePlace;
  readonly jobName: string;
  readonly bucket: number;
  readonly #worker: LaneWorker;
  readonly #who: WorkerProcess;
  readonly #prefix: string;
  readonly #logger: Logger;
  readonly #redis: Redis;
  readonly #running = new Map<string, AbortController>();
  #claims = 0;
  #left: { readonly what: string; readonly sinceMs: number; readonly untilMs: number } | undefined;

  constructor(deps: LaneDeps, config: LaneConfig, place: QueuePlace) {
    this.#place = place;
    const parts = parseQueueName(place.name);
    this.jobName = parts.jobName;
    this.bucket = parts.bucket;
    this.#who = deps.worker;
    this.#redis = deps.redis;
    this.#prefix = config.prefix;
    this.#logger = deps.logger.child({ queue: queueName(parts.jobName, parts.profile, parts.bucket) });
    this.#worker = new LaneWorker(
      place.name,
      async (job: Job, token?: string) => {
        await this.#process(job, token ?? "", (claimed) => deps.run(claimed));
      },
      {
        connection: deps.redis,
        prefix: config.prefix,
        autorun: false,
        name: deps.worker.workerId,
        lockDuration: config.lockMs,
        stalledInterval: config.stalledCheckMs,
        maxStalledCount: MAX_STALLED,
        skipVersionCheck: true,
      },
      withoutBlocking,
    );
    const errors = new Seldom(systemClock, LOG_EVERY_MS);
    this.#worker.on("error", (error) => {
      errors.say((heldBack) => {
        this.#logger.warn({ err: error, heldBack }, "lane reported an error");
      });
    });
    this.#worker.on("lockRenewalFailed", (jobIds) => {
      for (const id of jobIds) this.#abort(id, new LeaseLostError(`lock of job ${id} could not be renewed`));
    });
    this.#worker.on("completed", (job) => {
      deps.onEnded(job);
    });
    this.#worker.on("failed", (job) => {
      if (job !== undefined) deps.onEnded(job);
    });
    this.#worker.on("stalled", (jobId) => {
      deps.metrics.counter("headroom_stalled_jobs_total").inc();
      this.#logger.warn({ jobId }, "job was taken back from a lost worker");
    });
  }

  /** @throws {TypeError} when this version of BullMQ has not what a lane is built on */
  async open(): Promise<void> {
    await this.#worker.waitUntilReady();
    this.#logger.debug({ nextDueMs: this.#worker.nextDueMs }, "lane opened");
    this.#worker.startLocks();
    await this.#worker.startStalledCheckTimer();
  }

  /** Its queue, with what counts for the jobs that wait there now. */
  get place(): QueuePlace {
    return this.#place;
  }

  /** Why the lane is left to workers of a newer version; undefined when it is not. Times in ms since 1970. */
  get leftToNewer(): { readonly what: string; readonly sinceMs: number; readonly untilMs: number } | undefined {
    return this.#left !== undefined && this.#left.untilMs > Date.now() ? this.#left : undefined;
  }

  /** Other cores or labels count from now on for the jobs that wait. */
  redeclare(spec: QueuePlace["spec"]): void {
    this.#place = { name: this.#place.name, spec };
  }

  /** The key that BullMQ adds to when this queue has something to fetch. */
  get markerKey(): string {
    return `${this.#prefix}:${this.place.name}:marker`;
  }

  /** Where BullMQ keeps jobs: that wait, that wait by priority, what each job's own key begins with, and that are delayed. */
  get headKeys(): readonly [wait: string, prioritized: string, job: string, delayed: string] {
    const base = `${this.#prefix}:${this.place.name}:`;
    return [`${base}wait`, `${base}prioritized`, base, `${base}delayed`];
  }

  /** When a delayed job of this queue is due, in ms since 1970, or 0. */
  get nextDueMs(): number {
    return this.#worker.nextDueMs;
  }

  /**
   * Fetches one job, the wanted one if it still waits, and runs it to its end in the background; `onEnd` is called then.
   * `none`: there is none. `another`: there was room for the wanted one alone, another worker has that by now, and the one
   * that was fetched was given back.
   */
  async claim(onEnd: () => void, wanted?: Wanted): Promise<Job | "none" | "another"> {
    this.#claims += 1;
    const token = lockToken(this.#who, Date.now(), this.#claims);
    if (wanted?.isBehind === true) await PUT_FIRST.run(this.#redis, [this.headKeys[0]], [wanted.jobId]);
    const job = (await this.#worker.getNextJob(token, { block: false })) as Job | undefined;
    if (job === undefined) return "none";
    if (wanted?.isOnly === true && job.id !== wanted.jobId) {
      await this.#giveBack(job, token, 0);
      return "another";
    }
    this.#worker
      .processJob(job, token, () => false)
      .catch((error: unknown) => {
        // The job is not lost: its lock runs out and the stalled check gives it to a worker again.
        this.#logger.error({ err: error, jobId: job.id }, "job could not be ended in redis");
      })
      .finally(onEnd);
    return job;
  }

  /** Aborts all jobs that run in this lane. */
  abortAll(reason: Error): void {
    for (const controller of this.#running.values()) controller.abort(reason);
  }

  get runningCount(): number {
    return this.#running.size;
  }

  async close(): Promise<void> {
    await this.#worker.close(true);
  }

  #abort(jobId: string, reason: Error): void {
    this.#running.get(jobId)?.abort(reason);
  }

  async #process(job: Job, token: string, run: (claimed: ClaimedJob) => Promise<void>): Promise<void> {
    const id = job.id ?? "";
    const controller = new AbortController();
    this.#running.set(id, controller);
    try {
      await run({ job, profile: profileOfPlace(this.#place), token, signal: controller.signal });
    } catch (error) {
      if (error instanceof HandBack) await this.#handBack(job, token, error);
      if (!(error instanceof LeaseLostError)) throw error;
      this.#logger.warn({ jobId: id, reason: messageOf(error) }, "job let go, another worker has it or will");
      throw new WaitingError();
    } finally {
      this.#running.delete(id);
    }
  }

  async #handBack(job: Job, token: string, reason: HandBack): Promise<never> {
    if (reason instanceof NewerPayload) {
      const nowMs = Date.now();
      const sinceMs = this.leftToNewer?.sinceMs ?? nowMs;
      this.#left = { what: reason.what, sinceMs, untilMs: nowMs + LANE_LEFT_MS };
    }
    this.#logger.info({ jobId: job.id, reason: messageOf(reason), delayMs: reason.delayMs }, "job handed back");
    await this.#giveBack(job, token, reason.delayMs);
    throw new WaitingError();
  }

  async #giveBack(job: Job, token: string, delayMs: number): Promise<void> {
    try {
      // moveToWait of a prioritized job wakes nobody (bullmq 6.7); a delay of 1 ms does the same and wakes.
      if (delayMs > 0 || (job.opts.priority ?? 0) > 0) {
        await job.moveToDelayed(Date.now() + Math.max(1, delayMs), token);
      } else await job.moveToWait(token);
    } catch (error) {
      // BullMQ would fail the job with this error. Left alone its lock runs out, and the stalled check gives it back.
      this.#logger.warn({ err: error, jobId: job.id }, "job could not be handed back, its lock will run out");
    }
  }
}
