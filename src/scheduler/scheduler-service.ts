/**
 * The scheduler: one leader among several does what must be done once in a cluster, again and again. Standby, it only
 * asks for the lease. Every step is safe to repeat, so a change of leader in the middle harms nothing.
 */
import type { Redis } from "ioredis";
import { keys } from "../contract/queues.ts";
import type { Clock } from "../platform/clock.ts";
import type { ControlBus } from "../platform/control.ts";
import { JobQueues } from "../platform/job-queues.ts";
import type { Service } from "../platform/lifecycle.ts";
import type { Logger } from "../platform/logger.ts";
import type { Metrics } from "../platform/metrics.ts";
import { RunHash } from "../platform/run-hash.ts";
import type { Store } from "../store/store.ts";
import { LeaderLease } from "./leader-lease.ts";
import { collectQueueMetrics } from "./queue-metrics.ts";
import { repairRuns } from "./repair.ts";
import { keepLearned } from "./learned-snapshot.ts";
import { sweepOldRuns } from "./retention.ts";
import { sweepCancelled } from "./sweep.ts";
import { endUnschedulable } from "./unschedulable.ts";

export interface SchedulerDeps {
  /** A `command` connection; the caller closes it. */
  readonly redis: Redis;
  readonly control: ControlBus;
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface SchedulerConfig {
  /** The key prefix with its hash tag. */
  readonly kp: string;
  readonly schedulerId: string;
  /** Ended runs are deleted after this long. */
  readonly keepRunsMs: number;
}

const TICK_MS = 2_000;
const LEASE_MS = 10_000;
const RETENTION_EVERY_TICKS = 300;
const LEARNED_EVERY_TICKS = 30;

export class SchedulerService implements Service {
  readonly #deps: SchedulerDeps;
  readonly #config: SchedulerConfig;
  readonly #lease: LeaderLease;
  readonly #queues: JobQueues;
  readonly #hash: RunHash;
  readonly #stop = new AbortController();
  #loop: Promise<void> | undefined;
  #unlisten: () => void = () => undefined;
  #isLeader = false;
  #learnedMs = 0;
  #lastTickMs: number;

  constructor(deps: SchedulerDeps, config: SchedulerConfig) {
    this.#deps = deps;
    this.#config = config;
    this.#lease = new LeaderLease(deps.redis, config.kp, { holder: config.schedulerId, ttlMs: LEASE_MS });
    this.#queues = new JobQueues(deps.redis, config.kp);
    this.#hash = new RunHash(deps.redis, config.kp);
    this.#lastTickMs = deps.clock.monotonicMs();
    deps.metrics.onCollect(() =>
      collectQueueMetrics({ redis: deps.redis, queues: this.#queues, metrics: deps.metrics, clock: deps.clock }),
    );
  }

  get isLeader(): boolean {
    return this.#isLeader;
  }

  /** Milliseconds since the last tick that went through. */
  get tickAgeMs(): number {
    return this.#deps.clock.monotonicMs() - this.#lastTickMs;
  }

  start(): Promise<void> {
    if (this.#loop !== undefined) return Promise.resolve();
    this.#unlisten = this.#deps.control.listen({
      onMessage: (message) => {
        if (message.kind === "cancel") this.#sweep(message.runId);
      },
    });
    this.#loop = this.#run();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#unlisten();
    this.#stop.abort();
    await this.#loop;
    await this.#queues.close();
  }

  /** One round of everything; tests call it directly. */
  async tick(round = 0): Promise<void> {
    this.#isLeader = await this.#lease.hold();
    if (this.#isLeader) {
      const deps = { ...this.#deps, kp: this.#config.kp, queues: this.#queues, hash: this.#hash };
      await repairRuns(deps);
      await endUnschedulable(deps, this.#deps.clock.nowMs());
      await this.#forgetDeadWorkers();
      if (round % LEARNED_EVERY_TICKS === 0) this.#learnedMs = await keepLearned(deps, this.#learnedMs);
      if (round % RETENTION_EVERY_TICKS === 0) {
        const deleted = await sweepOldRuns(this.#deps.store, this.#deps.clock.nowMs(), this.#config.keepRunsMs);
        if (deleted > 0) this.#deps.logger.info({ deleted }, "old runs deleted");
      }
    }
    this.#lastTickMs = this.#deps.clock.monotonicMs();
  }

  async #run(): Promise<void> {
    for (let round = 0; !this.#stop.signal.aborted; round += 1) {
      try {
        await this.tick(round);
      } catch (error) {
        this.#deps.logger.warn({ err: error }, "scheduler round failed, trying again");
      }
      try {
        await this.#deps.clock.sleep(TICK_MS, this.#stop.signal);
      } catch {
        // Woken by stop: the loop's condition ends it.
      }
    }
    if (this.#isLeader)
      await this.#lease.release().catch((error: unknown) => {
        this.#deps.logger.warn({ err: error }, "lease not released");
      });
  }

  /** A cancel is to be seen at once: whoever hears it first sweeps. */
  #sweep(runId: string): void {
    const { redis, store } = this.#deps;
    sweepCancelled({ redis, store, kp: this.#config.kp, queues: this.#queues, hash: this.#hash }, runId).catch(
      (error: unknown) => {
        this.#deps.logger.warn({ err: error, runId }, "cancelled run not swept, the next round will");
      },
    );
  }

  async #forgetDeadWorkers(): Promise<void> {
    const { redis } = this.#deps;
    for (const workerId of await redis.smembers(keys.workers(this.#config.kp))) {
      if ((await redis.exists(keys.worker(this.#config.kp, workerId))) === 1) continue;
      await redis.srem(keys.workers(this.#config.kp), workerId);
      this.#deps.logger.warn({ workerId }, "worker is gone");
    }
  }
}
