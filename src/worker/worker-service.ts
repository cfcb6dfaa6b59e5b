/**
 * A worker: wires lane → governor → executor → result.
 *
 * States (one writer, `#state`): `starting` → `working` ⇄ `draining` → `stopped`. While it drains nothing is claimed and
 * what runs goes on; after its grace what still runs is aborted and handed back, and no attempt is burned (drain.ts).
 */
import type { Redis } from "ioredis";
import { hostname } from "node:os";
import { breakRun } from "../platform/cancel-run.ts";
import { LearnedClasses } from "../platform/learned/learned-classes.ts";
import { FlowState } from "../platform/flow/flow-state.ts";
import { ControlBus } from "../platform/control.ts";
import { JobQueues } from "../platform/job-queues.ts";
import { ServiceGroup, type Service } from "../platform/lifecycle.ts";
import { PolicyGate } from "../platform/policy-gate.ts";
import { closeRedis, openRedis } from "../platform/redis.ts";
import { OutputRegistry } from "../platform/output-registry.ts";
import { RunHash } from "../platform/run-hash.ts";
import { State, type Transitions } from "../platform/state.ts";
import { Admissions } from "./admissions.ts";
import { ClusterLoad } from "./cluster-load.ts";
import { Executors } from "./executors.ts";
import type { Handlers } from "./executor/executor.ts";
import { createHandlers, type HandlerDeps } from "./executor/handlers.ts";
import { exposeGovernor } from "./governor/governor-metrics.ts";
import { createGovernor } from "./governor/create-governor.ts";
import type { Governor } from "./governor/governor.ts";
import { createLearnedListener } from "./governor/learned-listener.ts";
import { LearnedRuns } from "./governor/learned-runs.ts";
import { FlowRuns } from "./flow-runs.ts";
import { Heartbeat } from "./heartbeat.ts";
import { HeldJobs } from "./held-jobs.ts";
import { tellClaim } from "./job-spans.ts";
import { LargestJob } from "./largest-job.ts";
import { createLeaving, type Leaving } from "./leaving.ts";
import { LiveLimits } from "./live-limits.ts";
import type { WorkerProcess } from "./lane-token.ts";
import { Lanes } from "./lanes.ts";
import { exposeLoop } from "./loop-metrics.ts";
import { PullLoop } from "./pull-loop.ts";
import { tellWait } from "./queue-series.ts";
import { nextJobs, QueueHeads } from "./queue-heads.ts";
import { OutputClaims } from "./output-claims.ts";
import { Pace } from "./pace.ts";
import { RunCache } from "./run-cache.ts";
import { createSharedTuning } from "./shared-tuning.ts";
import type { WorkerConfig, WorkerDeps } from "./worker-port.ts";
import { workerChecks, type WorkerChecks } from "./worker-checks.ts";
import { WorkerStatus, type WorkerStatusDeps } from "./worker-status.ts";

type WorkerState = "starting" | "working" | "draining" | "stopped";
const moves: Transitions<WorkerState> = {
  starting: ["working", "draining"],
  working: ["draining"],
  draining: ["working", "stopped"],
  stopped: [],
};

/** Reading what the machine is made of forks: short-lived workers never come to it. */
const INVENTORY_AFTER_MS = 5_000;

export class WorkerService implements Service {
  readonly #deps: WorkerDeps;
  readonly #config: WorkerConfig;
  readonly #who: WorkerProcess;
  readonly #state: State<WorkerState>;
  readonly #redis: Redis;
  readonly #blocking: Redis;
  readonly #subscriber: Redis;
  readonly #queues: JobQueues;
  readonly #control: ControlBus;
  readonly #governor: Governor;
  readonly #classes: LearnedClasses;
  readonly #heads: QueueHeads;
  readonly #executors: Executors;
  readonly #lanes: Lanes;
  readonly #load: ClusterLoad;
  readonly #loop: PullLoop;
  readonly #status: WorkerStatus;
  readonly #heartbeat: Heartbeat;
  readonly #held: HeldJobs;
  readonly #pace: Pace;
  readonly #runs: RunCache;
  readonly #limits: LiveLimits;
  readonly #claims: OutputClaims;
  readonly #leaving: Leaving;
  readonly #group: ServiceGroup;
  #inventoryTimer: NodeJS.Timeout | undefined;
  #stopping: Promise<void> | undefined;

  constructor(deps: WorkerDeps, config: WorkerConfig) {
    this.#deps = deps;
    this.#config = config;
    const { logger, clock } = deps;
    this.#who = { workerId: config.workerId, startedAtMs: clock.nowMs() };
    this.#state = new State("worker", moves, "starting", logger);
    // Its commands wait until Redis is back: a worker rides out an outage, a caller of the API is told.
    this.#redis = openRedis(deps.redisUrl, "blocking", logger);
    this.#blocking = openRedis(deps.redisUrl, "blocking", logger);
    this.#subscriber = openRedis(deps.redisUrl, "subscriber", logger);
    this.#queues = new JobQueues(this.#redis, config.kp);
    const hash = new RunHash(this.#redis, config.kp);
    this.#runs = new RunCache(hash, deps.store, {
      changes: () => this.#queues.profileChanges,
      specOf: async (ref, path) => (await new FlowState(this.#redis, config.kp, ref).specs([path])).get(path),
    });
    this.#control = new ControlBus({ redis: this.#redis, subscriber: this.#subscriber, logger }, config.kp);
    const tuning = createSharedTuning(deps, { ...config, redis: this.#redis }, () => this.#status.offers);
    this.#heartbeat = new Heartbeat({ redis: this.#redis, kp: config.kp, logger }, () => this.#status.heartbeat());
    this.#governor = createGovernor({ ...deps, ...tuning.parts, onWait: this.#heartbeat.soon }, config, (step) => {
      this.#executors.enforce(step);
    });
    this.#classes = new LearnedClasses({ redis: this.#redis, prefix: config.kp, clock, logger });
    this.#executors = new Executors(deps, config, hash);
    const shared = {
      ...{ redis: this.#redis, kp: config.kp, store: deps.store, clock, logger },
      ...{ queues: this.#queues, runs: this.#runs },
    };
    this.#pace = new Pace(clock);
    this.#claims = this.#createClaims(hash);
    const listener = createLearnedListener({ metrics: deps.metrics, hash, logger });
    const learned = new LearnedRuns(this.#classes, listener, this.#governor.gpus);
    const flows = new FlowRuns({ ...shared, hash, learned });
    this.#held = new HeldJobs({
      ...{ ...shared, governor: this.#governor, pace: this.#pace },
      profileOf: (queue) => this.#lanes.profileOf(queue),
      onGiveUp: (payload) => flows.endCalls(payload),
      ...(deps.onClaim && { onClaim: deps.onClaim }),
    });
    const largestJob = new LargestJob(shared);
    this.#heads = new QueueHeads({ ...shared, next: nextJobs(this.#redis), learned, largestJob });
    this.#held.handlers = this.#createHandlers({ ...shared, hash, flows, learned, largestJob });
    this.#lanes = this.#createLanes();
    this.#load = this.#createLoad();
    this.#loop = this.#createLoop();
    this.#status = this.#createStatus(shared);
    this.#limits = this.#createLimits();
    this.#leaving = this.#createLeaving();
    this.#group = this.#createGroup(tuning.services);
    exposeGovernor(deps.metrics, () => this.#governor.snapshot());
    exposeLoop(deps.metrics, this.#loop);
  }

  /** For the operations server. */
  get checks(): WorkerChecks & Pick<Leaving, "routes"> {
    const { loop, store, redis } = { loop: this.#loop, store: this.#deps.store, redis: this.#redis };
    const { routes } = this.#leaving;
    const governor = this.#governor;
    return { ...workerChecks({ loop, store, redis, governor, state: () => this.#state.current }), routes };
  }

  async start(): Promise<void> {
    this.#control.listen({
      onMessage: (message) => {
        if (message.kind === "cancel") this.#held.cancel(message.runId);
        else if (message.kind === "cancel-nodes") this.#held.cancelNodes(message.runId, message.paths);
        else if (message.kind === "queue") void this.#lanes.refresh();
        else if (message.kind === "profiles") void this.#declareAnew();
        else if (message.kind === "drain") void this.#leaving.watch.refresh();
        else if (message.kind === "limits" || message.kind === "rules") void this.#limits.refresh();
        else this.#loop.lookAgain();
      },
      onResubscribed: () => {
        void this.#lanes.refresh();
        void this.#limits.refresh();
        void this.#leaving.watch.refresh();
        void this.#held.cancelMissed();
      },
    });
    this.#governor.onRoom(this.#kick);
    await this.#group.start();
    // It may have been asked to drain before it was there.
    if (this.#state.is("starting")) this.#state.moveTo("working");
    this.#inventoryTimer = setTimeout(() => {
      void this.#status.tellInventory();
    }, INVENTORY_AFTER_MS);
  }

  stop(deadline?: AbortSignal): Promise<void> {
    this.#stopping ??= this.#drainAndStop(deadline);
    return this.#stopping;
  }

  async #drainAndStop(deadline: AbortSignal | undefined): Promise<void> {
    clearTimeout(this.#inventoryTimer);
    await this.#leaving.watch.stop();
    await this.#leaving.drain.beginLast(this.#config.drainMs, deadline);
    try {
      await this.#group.stop(deadline);
    } finally {
      await this.#queues.close();
      await Promise.all([this.#redis, this.#blocking, this.#subscriber].map((redis) => closeRedis(redis)));
      this.#state.moveTo("stopped");
    }
  }

  readonly #kick = (): void => {
    this.#loop.kick();
  };

  /** Jobs that wait are admitted with what counts for them now. */
  async #declareAnew(): Promise<void> {
    await this.#lanes.refresh();
    this.#loop.lookAgain();
  }

  #createGroup(tuning: readonly Service[]): ServiceGroup {
    return new ServiceGroup([
      this.#governor,
      this.#limits,
      this.#classes,
      this.#executors,
      this.#control,
      this.#claims,
      this.#lanes,
      this.#heartbeat,
      this.#load,
      ...tuning,
      ...this.#leaving.services,
      this.#loop,
    ]);
  }

  #createLeaving(): Leaving {
    const parts = { loop: this.#loop, governor: this.#governor, executors: this.#executors, held: this.#held };
    const onMove = (to: "draining" | "working") => {
      this.#state.moveTo(to);
      this.#heartbeat.beat();
    };
    return createLeaving({ ...parts, redis: this.#redis, onMove }, this.#deps, this.#config);
  }

  #createStatus(shared: Pick<WorkerStatusDeps, "redis" | "kp" | "clock" | "logger">): WorkerStatus {
    const { labels, version } = this.#config;
    const parts = { governor: this.#governor, held: this.#held, pace: this.#pace };
    const reads = { state: () => this.#state.current, leftToNewer: () => this.#lanes.leftToNewer };
    return new WorkerStatus({ ...shared, ...parts, ...reads }, { ...this.#who, labels, version });
  }

  #createLimits(): LiveLimits {
    const { logger, plugins } = this.#deps;
    const { kp, workerId, governor: settings } = this.#config;
    const known = { settings, worker: { workerId, host: hostname() }, rules: plugins?.tunable ?? new Map() };
    return new LiveLimits({ redis: this.#redis, kp, logger, governor: this.#governor, ...known, onChange: this.#kick });
  }

  #createClaims(hash: RunHash): OutputClaims {
    const { clock, logger } = this.#deps;
    const { kp } = this.#config;
    return new OutputClaims({
      ...{ clock, logger, outputs: new OutputRegistry(this.#redis, kp) },
      knowsEnd: (runId) => this.#runs.hasEnded(runId),
      onLost: (runId, reason) => breakRun({ redis: this.#redis, hash, kp }, runId, reason),
    });
  }

  #createHandlers(
    shared: Omit<
      HandlerDeps,
      "metrics" | "claims" | "runner" | "inferRunner" | "gate" | "workerId" | "governor" | "onUsage" | "onReport"
    >,
  ): Handlers {
    const { allow, workerId } = this.#config;
    const { runner, inferRunner } = this.#executors;
    const { onReport } = this.#deps;
    return createHandlers({
      ...{ ...shared, metrics: this.#deps.metrics, claims: this.#claims, runner, inferRunner },
      ...{ gate: new PolicyGate(allow), workerId, governor: this.#governor },
      ...(onReport && { onReport }),
      onUsage: (jobId, sample) => {
        this.#held.measure(jobId, sample);
      },
    });
  }

  #createLanes(): Lanes {
    const { logger, metrics, clock } = this.#deps;
    const { kp, lockMs, labels, jobNames } = this.#config;
    return new Lanes(
      {
        ...{ redis: this.#redis, queues: this.#queues, logger, metrics, worker: this.#who },
        run: (claimed) => {
          const nowMs = clock.nowMs();
          tellWait(metrics, claimed, nowMs);
          const refusal = this.#governor.lastRefusal(claimed.job.queueName);
          tellClaim(metrics.spans, claimed, { nowMs, refusal });
          return this.#held.run(claimed);
        },
        onEnded: (job) => {
          void this.#held.forget(job);
        },
        onNewLane: this.#kick,
      },
      { prefix: kp, lockMs, stalledCheckMs: Math.max(1_000, Math.floor(lockMs / 2)) },
      { labels, ...(jobNames && { jobNames }) },
    );
  }

  #createLoad(): ClusterLoad {
    const { clock, logger, metrics } = this.#deps;
    const { kp, workerId, labels } = this.#config;
    const deps = {
      ...{ redis: this.#redis, kp, clock, logger },
      readOwn: () => this.#status.load(),
      onTurn: this.#kick,
      onYield: () => {
        metrics.counter("headroom_admissions_total").inc({ decision: "defer", reason: "TURN" });
      },
    };
    return new ClusterLoad(deps, { workerId, labels });
  }

  #createLoop(): PullLoop {
    const { clock } = this.#deps;
    const admissions = new Admissions({ governor: this.#governor, load: this.#load, heads: this.#heads });
    return new PullLoop({
      redis: this.#redis,
      blocking: this.#blocking,
      clock,
      logger: this.#deps.logger,
      workerId: this.#config.workerId,
      kp: this.#config.kp,
      lanes: () => this.#lanes.all,
      admissions,
      onStuck: (error) => this.#deps.onStuck?.(error),
      ...(this.#config.pullLimits && { limits: this.#config.pullLimits }),
    });
  }
}
