/**
 * What a worker tells the cluster about itself, every second, and as soon as a queue begins to wait for something else: it is
 * alive, what it holds, and what waits for what.
 */
import type { Redis } from "ioredis";
import { keys } from "../contract/queues.ts";
import { HEARTBEAT_KEPT_MS, type WorkerHeartbeat } from "../contract/status.ts";
import type { Service } from "../platform/lifecycle.ts";
import type { Logger } from "../platform/logger.ts";
import { Script } from "../platform/script.ts";

const BEAT_MS = 1_000;
/** However often reasons change, they are told so far apart at least. */
const SOON_MS = 250;

/**
 * Stores a heartbeat, as one command: every worker sends one a second. KEYS[1] set of worker ids, KEYS[2] hash of the
 * worker. ARGV[1] worker id, ARGV[2] heartbeat as JSON, ARGV[3] when the worker started, ARGV[4] ms to keep it.
 */
const BEAT = new Script(
  `
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[2], 'json', ARGV[2], 'startedAtMs', ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
`,
  { whenFull: "runs" },
);

export class Heartbeat implements Service {
  readonly #redis: Redis;
  readonly #kp: string;
  readonly #logger: Logger;
  readonly #read: () => Promise<WorkerHeartbeat>;
  #timer: NodeJS.Timeout | undefined;
  #beating: Promise<void> = Promise.resolve();
  #isBeating = false;
  #soon: NodeJS.Timeout | undefined;
  #lastMs = -Infinity;
  #stopped = false;

  constructor(deps: { redis: Redis; kp: string; logger: Logger }, read: () => Promise<WorkerHeartbeat>) {
    this.#redis = deps.redis;
    this.#kp = deps.kp;
    this.#logger = deps.logger;
    this.#read = read;
  }

  async start(): Promise<void> {
    if (this.#timer !== undefined || this.#stopped) return;
    this.#timer = setInterval(() => {
      this.beat();
    }, BEAT_MS);
    this.beat();
    await this.#beating;
  }

  /** Sends one heartbeat, unless one is under way. */
  beat(): void {
    if (this.#isBeating || this.#stopped) return;
    this.#isBeating = true;
    this.#lastMs = performance.now();
    this.#beating = this.#send()
      .catch((error: unknown) => {
        this.#logger.warn({ err: error }, "heartbeat could not be sent");
      })
      .finally(() => {
        this.#isBeating = false;
      });
  }

  /** What is told has changed: sends a heartbeat that has it, at once or as soon as the last one is long enough ago. */
  readonly soon = (): void => {
    if (this.#soon !== undefined || this.#timer === undefined || this.#stopped) return;
    const waitMs = Math.max(0, this.#lastMs + SOON_MS - performance.now());
    this.#soon = setTimeout(() => {
      this.#soon = undefined;
      // One that is under way may have been read before the change.
      void this.#beating.then(() => {
        this.beat();
      });
    }, waitMs);
  };

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    clearInterval(this.#timer);
    clearTimeout(this.#soon);
    await this.#beating;
    const { workerId } = await this.#read();
    await this.#redis.multi().del(keys.worker(this.#kp, workerId)).srem(keys.workers(this.#kp), workerId).exec();
  }

  async #send(): Promise<void> {
    const beat = await this.#read();
    const key = keys.worker(this.#kp, beat.workerId);
    const args = [beat.workerId, JSON.stringify(beat), beat.startedAtMs, HEARTBEAT_KEPT_MS];
    await BEAT.run(this.#redis, [keys.workers(this.#kp), key], args);
  }
}
