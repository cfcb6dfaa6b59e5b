/**
 * The scheduler: one leader among several does what must be done once in a cluster, again and again. Standby, it only
 * asks for the lead. Every step is safe to repeat, so a change of leader in the middle harms nothing; what a leader writes
 * goes over the connection of its term, which ends with it (see term.ts).
 */
import type { Retention } from "../contract/retention.ts";
import type { Redis } from "ioredis";
import { LeadershipLostError } from "../contract/errors.ts";
import { keys } from "../contract/queues.ts";
import type { ScheduleSpec } from "../contract/schedules.ts";
import type { Clock } from "../platform/clock.ts";
import type { ControlBus } from "../platform/control.ts";
import { JobQueues } from "../platform/job-queues.ts";
import type { Service } from "../platform/lifecycle.ts";
import type { Logger } from "../platform/logger.ts";
import type { Metrics } from "../platform/metrics.ts";
import { RunHash } from "../platform/run-hash.ts";
import type { Store } from "../store/store.ts";
import { Leadership } from "./leadership.ts";
import { LeftoverHashes, LeftoverJobs } from "./leftovers.ts";
import { collectQueueMetrics, collectWorkers } from "./queue-metrics.ts";
import { collectRedis } from "./redis-metrics.ts";
import { RunRepair } from "./repair.ts";
import { keepLearned } from "./learned-snapshot.ts";
import { sweepRunFolders } from "./run-folders.ts";
import { sweepOldRuns } from "./retention.ts";
import { collectScalingMetrics, signalScaling, type ScaleSettings } from "./scale-signal.ts";
import { ScheduleAlarm } from "./schedule-alarm.ts";
import { reconcileSchedules } from "./schedule-config.ts";
import { NextTimes, runSchedules, type Starter } from "./schedules.ts";
import { sweepCancelled } from "./sweep.ts";
import type { Term } from "./term.ts";
import { endUnschedulable } from "./unschedulable.ts";

export interface SchedulerDeps {
  /** A `command` connection; the caller closes it. */
  readonly redis: Redis;
  readonly control: ControlBus;
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Starts what schedules ask for; without one it leaves them alone, and gives the lead to any that has one. */
  readonly starter?: Starter;
  /** Told of each run that is deleted because it is old. */
  readonly onForgotten?: (runId: string) => void;
}

export interface SchedulerConfig {
  /** The key prefix with its hash tag. */
  readonly kp: string;
  readonly schedulerId: string;
  /** Ended runs are deleted after this long. */
  readonly keepRunsMs: number;
  /** The schedules that the configuration declares; undefined when there is no configuration that could. */
  readonly schedules?: Readonly<Record<string, ScheduleSpec>>;
  /** How many workers are asked for; without it nobody is told. */
  readonly scaling?: ScaleSettings;
  /** How long folders of flows' runs are kept; for ever without it. */
  readonly retention?: Retention;
}

const TICK_MS = 2_000;
const RETENTION_EVERY_TICKS = 300;
const LEARNED_EVERY_TICKS = 30;

/** What one term of this scheduler works with. */
interface TermState {
  readonly term: Term;
  readonly queues: JobQueues;
  readonly hash: RunHash;
  readonly repair: RunRepair;
  readonly leftoverJobs: LeftoverJobs;
  readonly leftoverHashes: LeftoverHashes;
  readonly next: NextTimes;
  readonly alarm: ScheduleAlarm | undefined;
  round: number;
  learnedMs: number;
}

export class SchedulerService implements Service {
  readonly #deps: SchedulerDeps;
  readonly #config: SchedulerConfig;
  readonly #leadership: Leadership;
  /** For what is read, and for cancels, which any scheduler may sweep. */
  readonly #queues: JobQueues;
  readonly #hash: RunHash;
  readonly #stop = new AbortController();
  #wake = new AbortController();
  #loop: Promise<void> | undefined;
  #unlisten: () => void = () => undefined;
  #state: TermState | undefined;
  #lastTickMs: number;

  constructor(deps: SchedulerDeps, config: SchedulerConfig) {
    this.#deps = deps;
    this.#config = config;
    const { kp, schedulerId } = config;
    this.#leadership = new Leadership(deps, { kp, schedulerId, yields: deps.starter === undefined }, () => {
      this.wake();
    });
    this.#queues = new JobQueues(deps.redis, kp);
    this.#hash = new RunHash(deps.redis, kp);
    this.#lastTickMs = deps.clock.monotonicMs();
    const { redis, metrics, clock } = deps;
    const told = { redis, kp, queues: this.#queues, metrics, clock };
    metrics.onCollect(() => collectQueueMetrics(told));
    metrics.onCollect(() => collectWorkers(told));
    metrics.onCollect(() => collectRedis(told));
    metrics.onCollect(() => collectScalingMetrics(told));
  }

  /** Milliseconds since the last tick that went through. */
  get tickAgeMs(): number {
    return this.#deps.clock.monotonicMs() - this.#lastTickMs;
  }

  /** Why this scheduler could not lead; undefined while it could. */
  get leadFault(): string | undefined {
    return this.#leadership.fault;
  }

  async start(): Promise<void> {
    if (this.#loop !== undefined) return;
    this.#unlisten = this.#deps.control.listen({
      onMessage: (message) => {
        if (message.kind === "cancel") this.#sweep(message.runId);
        if (message.kind === "schedules") this.wake();
      },
    });
    this.#loop = this.#run();
    await this.#leadership.start();
  }

  async stop(): Promise<void> {
    this.#unlisten();
    this.#stop.abort();
    this.wake();
    await this.#loop;
    await this.#leaveTerm();
    await this.#leadership.stop();
    await this.#queues.close();
  }

  /** Begins the next round now. */
  wake(): void {
    this.#wake.abort();
  }

  /** One round of everything. */
  async #tick(): Promise<void> {
    const term = this.#leadership.term;
    if (term !== this.#state?.term) {
      await this.#leaveTerm();
      if (term !== undefined) this.#state = await this.#enterTerm(term);
    }
    if (this.#state !== undefined) await this.#lead(this.#state);
    this.#lastTickMs = this.#deps.clock.monotonicMs();
  }

  async #enterTerm(term: Term): Promise<TermState> {
    const { kp, schedules } = this.#config;
    const { store, logger, clock } = this.#deps;
    if (schedules !== undefined) await reconcileSchedules({ store, logger, nowMs: clock.nowMs() }, schedules);
    const onAlarm = () => {
      this.wake();
    };
    return {
      term,
      queues: new JobQueues(term.redis, kp),
      hash: new RunHash(term.redis, kp),
      ...{ repair: new RunRepair(), leftoverJobs: new LeftoverJobs(), leftoverHashes: new LeftoverHashes() },
      ...{ next: new NextTimes(), round: 0, learnedMs: 0 },
      alarm: this.#deps.starter && new ScheduleAlarm({ redis: term.redis, kp, onAlarm }),
    };
  }

  async #leaveTerm(): Promise<void> {
    const state = this.#state;
    this.#state = undefined;
    if (state === undefined) return;
    await state.alarm?.close();
    await state.queues.close();
  }

  async #lead(state: TermState): Promise<void> {
    const { starter, ...others } = this.#deps;
    const { term, queues, hash, round } = state;
    const alarm = state.alarm && { alarm: state.alarm };
    const deps = { ...others, kp: this.#config.kp, redis: term.redis, term, queues, hash };
    const { scaling } = this.#config;
    const steps: (() => Promise<unknown>)[] = [
      ...(scaling === undefined ? [] : [() => signalScaling(deps, scaling)]),
      ...(starter === undefined ? [] : [() => runSchedules({ ...deps, ...alarm, starter }, state.next)]),
      () => state.repair.round(deps),
      () => state.leftoverJobs.round(deps),
      () => state.leftoverHashes.round(deps),
      () => endUnschedulable(deps, deps.clock.nowMs()),
      () => this.#forgetDeadWorkers(term),
    ];
    if (round % LEARNED_EVERY_TICKS === 0) {
      steps.push(async () => {
        state.learnedMs = await keepLearned(deps, state.learnedMs);
      });
    }
    const { retention } = this.#config;
    if (round % RETENTION_EVERY_TICKS === 0) {
      // Folders first: of a run that the store has forgotten nobody knows where it lies.
      if (retention !== undefined) steps.push(() => sweepRunFolders(deps, retention));
      steps.push(() => this.#forgetOldRuns(term));
    }
    state.round += 1;
    for (const step of steps) {
      term.require();
      // One step that fails must not keep the others from their work.
      await step().catch((error: unknown) => {
        if (!term.holds) throw new LeadershipLostError(`expected term ${term.token} to go on, found it over`);
        this.#deps.logger.warn({ err: error }, "a step of a scheduler's round failed, the next round tries again");
      });
    }
  }

  async #run(): Promise<void> {
    const { clock, logger } = this.#deps;
    while (!this.#stop.signal.aborted) {
      this.#wake = new AbortController();
      try {
        await this.#tick();
      } catch (error) {
        if (error instanceof LeadershipLostError) logger.info({ reason: error.message }, "round left off");
        else logger.warn({ err: error }, "scheduler round failed, trying again");
      }
      // Woken by stop, by a new term, or because schedules were changed.
      await clock.sleep(TICK_MS, this.#wake.signal).catch(() => undefined);
    }
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

  async #forgetOldRuns(term: Term): Promise<void> {
    const { store, clock, logger } = this.#deps;
    const beforeMs = clock.nowMs() - this.#config.keepRunsMs;
    const onForgotten = (runId: string) => {
      try {
        this.#deps.onForgotten?.(runId);
      } catch (error) {
        logger.warn({ err: error, runId }, "what is kept of a deleted run beside the store is left");
      }
    };
    const deleted = await sweepOldRuns({ store, term, onForgotten }, beforeMs);
    await store.plans.deleteUnusedSince(beforeMs);
    if (deleted > 0) logger.info({ deleted }, "old runs deleted");
  }

  async #forgetDeadWorkers({ redis }: Term): Promise<void> {
    for (const workerId of await redis.smembers(keys.workers(this.#config.kp))) {
      if ((await redis.exists(keys.worker(this.#config.kp, workerId))) === 1) continue;
      await redis.srem(keys.workers(this.#config.kp), workerId);
      this.#deps.logger.warn({ workerId }, "worker is gone");
    }
  }
}
