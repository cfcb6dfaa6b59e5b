/** The one place that puts the processes together, each or all of them in one. Each is loaded only when it is asked for. */
import { SANDBOX_LABEL } from "../contract/allow.ts";
import { hostname } from "node:os";
import { randomBytes } from "node:crypto";
import type { BoardConfig } from "../board/config.ts";
import type { Allow } from "../contract/allow.ts";
import type { ResourceSettings } from "../contract/config-compile.ts";
import type { JobName } from "../contract/jobs.ts";
import { systemClock } from "../platform/clock.ts";
import { ControlBus } from "../platform/control.ts";
import type { Service } from "../platform/lifecycle.ts";
import type { Logger } from "../platform/logger.ts";
import { Metrics, type BuildFacts } from "../platform/metrics.ts";
import { OpsServer, type Checks, type OpsRoute } from "../platform/ops-server.ts";
import { closeRedis, openRedis } from "../platform/redis.ts";
import { exposeRedisLink } from "../platform/redis-link.ts";
import { exposeStoreLink } from "../platform/store-link.ts";
import { scalingRoute } from "../platform/scaling.ts";
import { Telemetry } from "../platform/telemetry.ts";
import type { ProducerConfig } from "../producer/config.ts";
import type { KnownPrograms } from "../producer/flow/scheduled-flow.ts";
import type { Config } from "../contract/config.ts";
import { InvalidInputError } from "../contract/errors.ts";
import type { Limits } from "../contract/limits.ts";
import type { Retention } from "../contract/retention.ts";
import type { ScaleSettings } from "../scheduler/scale-signal.ts";
import type { Starter } from "../scheduler/schedules.ts";
import type { PodPlace } from "../worker/pod-cost.ts";
import type { Cluster } from "./cluster.ts";
import type { Io } from "./io.ts";
import { agentPathOf } from "./run/binary.ts";
import { reportMarkdown } from "./report-markdown.ts";
import { removeReportFiles, writeReportFiles } from "./run/report-files.ts";
import { isHomeShared } from "./settings.ts";
import { packageVersion } from "./version.ts";

/** What the parts of one process share. */
export interface Parts {
  readonly cluster: Cluster;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Started before what it is told by, and stopped after it. */
  readonly telemetry: Telemetry;
}

/** A part, and what it says about its own health. */
export interface Part {
  readonly service: Service;
  readonly liveness: Checks;
  readonly readiness: Checks;
  /** What it answers on the operations port beside them. */
  readonly routes?: readonly OpsRoute[];
}

/** A part that listens on a port of its own, known once it has started. */
export interface ListeningPart extends Part {
  readonly url: () => string;
}

/** What the machine's owner says about a worker; undefined is the worker's own default. */
export interface WorkerSettings extends Partial<ResourceSettings> {
  readonly workerId?: string | undefined;
  readonly labels?: readonly string[] | undefined;
  readonly drainMs?: number | undefined;
  readonly memoryMaxBytes?: number | undefined;
  /** What runs may use on this machine. */
  readonly allow?: Allow | undefined;
  readonly lockMs?: number | undefined;
  /** Serves jobs of these names alone. */
  readonly jobNames?: readonly JobName[] | undefined;
  /** The pod that it runs in. */
  readonly pod?: PodPlace | undefined;
  /** The section of the configuration; its plugins are loaded here. */
  readonly governor?: Config["governor"] | undefined;
}

const LOCK_MS = 30_000;
const DRAIN_MS = 25_000;
const DAY_MS = 86_400_000;
/** A scheduler whose round did not come through for this long is stuck. */
const STUCK_TICK_MS = 60_000;

/** `env`: what names a collector of traces; without it there is none. */
export function createParts(cluster: Cluster, process: BuildFacts["process"], env: NodeJS.ProcessEnv = {}): Parts {
  const { logger } = cluster;
  const about = { version: packageVersion(), process };
  const telemetry = new Telemetry(env, about, logger);
  const metrics = new Metrics(about, logger, { spans: telemetry });
  exposeRedisLink({ metrics, redis: cluster.redis, clock: systemClock });
  exposeStoreLink({ metrics, store: cluster.store });
  return { cluster, logger, metrics, telemetry };
}

export async function createWorkerPart(parts: Parts, settings: WorkerSettings = {}): Promise<Part> {
  const [{ WorkerService }, { settingsWith }, { loadPlugins }, { sandboxFault }] = await Promise.all([
    import("../worker/worker-service.ts"),
    import("../worker/live-limits.ts"),
    import("../worker/governor/plugins.ts"),
    import("../worker/executor/sandbox.ts"),
  ]);
  const isEnclosing = sandboxFault().then((fault) => fault === undefined);
  const plugins = await loadPlugins(settings.governor ?? { probes: [], rules: [] });
  const labels = [...(settings.labels ?? []), ...((await isEnclosing) ? [SANDBOX_LABEL] : [])];
  const { cluster, logger, metrics } = parts;
  const { place } = cluster;
  const worker = new WorkerService(
    {
      ...{ redisUrl: cluster.redisUrl, store: cluster.store, logger, metrics, clock: systemClock },
      ...{ onStuck: endProcess, plugins },
      ...(isHomeShared(place) && { onReport: (report) => void writeReportFiles(place.home, report) }),
    },
    {
      kp: place.kp,
      workerId: settings.workerId ?? uniqueId("worker"),
      version: packageVersion(),
      labels,
      governor: settingsWith({}, limitsOf(settings)),
      lockMs: settings.lockMs ?? LOCK_MS,
      drainMs: settings.drainMs ?? DRAIN_MS,
      nice: 0,
      allow: settings.allow ?? {},
      jobGroups: settings.jobGroups,
      ...(settings.jobNames === undefined ? {} : { jobNames: settings.jobNames }),
      ...(settings.pod === undefined ? {} : { pod: settings.pod }),
    },
  );
  return { service: worker, ...worker.checks };
}

/** What the scheduler of a cluster does beside looking after runs. That of a single run has none. */
export interface SchedulerSettings {
  readonly keepDays?: number;
  /** What starts the runs of schedules, and which schedules the configuration declares. */
  readonly config?: Pick<Config, "schedules" | "scaling" | "profiles" | "agents" | "worker" | "retention">;
  /** What programs of agents are found by. */
  readonly io?: Io;
}

export async function createSchedulerPart(
  parts: Parts,
  { keepDays = 30, config, io }: SchedulerSettings = {},
): Promise<Part> {
  const { SchedulerService } = await import("../scheduler/scheduler-service.ts");
  if (config !== undefined) refuseForgotten(config.retention, keepDays);
  const { cluster, logger, metrics } = parts;
  const subscriber = openRedis(cluster.redisUrl, "subscriber", logger);
  const control = new ControlBus({ redis: cluster.redis, subscriber, logger }, cluster.place.kp);
  const starter =
    config === undefined
      ? undefined
      : await createStarter(cluster, { ...config, ...(io !== undefined && { programPath: agentPathOf(io) }) });
  const { home } = cluster.place;
  const scheduler = new SchedulerService(
    {
      ...{ redis: cluster.redis, control, store: cluster.store, clock: systemClock, logger, metrics },
      ...(starter !== undefined && { starter }),
      ...(isHomeShared(cluster.place) && {
        onForgotten: (runId) => {
          removeReportFiles(home, runId);
        },
      }),
    },
    {
      ...{ kp: cluster.place.kp, schedulerId: uniqueId("scheduler"), keepRunsMs: keepDays * DAY_MS },
      ...(config !== undefined && {
        ...{ schedules: config.schedules, scaling: scaleSettingsOf(config), retention: config.retention },
      }),
    },
  );
  const service: Service = {
    start: async () => {
      await control.start();
      await scheduler.start();
    },
    stop: async () => {
      await scheduler.stop();
      await control.stop();
      await closeRedis(subscriber);
    },
  };
  const ticks = (): Promise<void> =>
    scheduler.tickAgeMs < STUCK_TICK_MS
      ? Promise.resolve()
      : Promise.reject(new Error(`last round was ${Math.round(scheduler.tickAgeMs)} ms ago`));
  const lead = (): Promise<void> =>
    scheduler.leadFault === undefined
      ? Promise.resolve()
      : Promise.reject(new Error(`it cannot lead: ${scheduler.leadFault}`));
  const routes = config === undefined ? [] : [scalingRoute({ redis: cluster.redis, kp: cluster.place.kp })];
  return { service, liveness: {}, readiness: { ...clusterChecks(cluster), rounds: ticks, lead }, routes };
}

/** Of a run that the store has forgotten nobody knows where its folder lies. @throws {InvalidInputError} */
function refuseForgotten({ folder_days: days }: Retention, keepDays: number): void {
  if (days === undefined || days <= keepDays) return;
  const expected = `no more than --keep-days (${keepDays}), after which it is not known where folders lie`;
  throw new InvalidInputError("scheduler", [{ where: "retention.folder_days", expected, found: String(days) }]);
}

function scaleSettingsOf({ scaling, profiles, worker }: NonNullable<SchedulerSettings["config"]>): ScaleSettings {
  return {
    targetWaitMs: scaling.target_wait_seconds * 1_000,
    minWorkers: scaling.min_workers,
    maxWorkers: scaling.max_workers,
    cooldownMs: scaling.cooldown_seconds * 1_000,
    drainMs: worker.drain_seconds * 1_000,
    profiles: Object.keys(profiles),
  };
}

/** Starts the runs of schedules as any caller would, by what is allowed here. */
async function createStarter({ client }: Cluster, known: KnownPrograms): Promise<Starter> {
  const { startScheduledFlow } = await import("../producer/flow/scheduled-flow.ts");
  return {
    startRun: async (request, idempotencyKey) =>
      (await client.run(request, { idempotencyKey, isKeyChecked: true })).run,
    startFlow: (flow, key) => startScheduledFlow(client, known, flow, key),
  };
}

export async function createProducerPart(parts: Parts, config: ProducerConfig, io: Io): Promise<ListeningPart> {
  const { createProducer } = await import("../producer/main.ts");
  const { client, store, redis } = parts.cluster;
  const { logger, metrics } = parts;
  const deps = { client, store, redis, logger, metrics, programPath: agentPathOf(io), env: io.env };
  const service = createProducer(deps, config);
  return { service, url: () => service.url, liveness: {}, readiness: clusterChecks(parts.cluster) };
}

export async function createBoardPart(
  parts: Parts,
  config: BoardConfig,
  tellToken: (text: string) => void,
): Promise<ListeningPart> {
  const { createBoard } = await import("../board/main.ts");
  const { store, redis } = parts.cluster;
  const { logger, metrics } = parts;
  const service = createBoard({ store, redis, logger, metrics, reportMarkdown, tellToken }, config);
  return { service, url: () => service.url, liveness: {}, readiness: clusterChecks(parts.cluster) };
}

/** `/livez`, `/readyz` and `/metrics` of a process made of these parts. */
export function createOpsServer(
  parts: Parts,
  made: readonly Part[],
  listen: { host: string; port: number },
): OpsServer {
  const merge = (which: "liveness" | "readiness"): Checks =>
    Object.assign({}, ...made.map((part) => part[which])) as Checks;
  const { metrics, logger } = parts;
  const routes = made.flatMap((part) => part.routes ?? []);
  const checks = { liveness: merge("liveness"), readiness: merge("readiness") };
  return new OpsServer({ metrics, logger, ...checks, routes }, listen);
}

/** The cluster's connections as the service that stops last. */
export function clusterService(cluster: Cluster): Service {
  return { start: () => Promise.resolve(), stop: () => cluster.close() };
}

function clusterChecks({ redis, store }: Cluster): Checks {
  return {
    redis: async () => {
      await redis.ping();
    },
    store: () => store.ping(),
  };
}

/** What it was started with, in the words of the limits that may be set over it later. */
function limitsOf(settings: WorkerSettings): Limits {
  const { disk_free, disk_free_inodes, io_pressure_percent, max_temperature, max_watts } = settings.governor ?? {};
  return {
    max_processes: settings.maxProcesses,
    memory_threshold_percent: settings.memoryThresholdPercent,
    cpu_threshold_percent: settings.cpuThresholdPercent,
    memory_max: settings.memoryMaxBytes,
    ...{ disk_free, disk_free_inodes, io_pressure_percent, max_temperature, max_watts },
  };
}

/** An error that nobody catches ends a process of ours in an orderly way (run.ts); who supervises it starts another. */
function endProcess(error: Error): void {
  setImmediate(() => {
    throw error;
  });
}

function uniqueId(what: string): string {
  const host = hostname().replace(/[^A-Za-z0-9_-]/g, "-");
  return `${host}-${what}-${process.pid}-${randomBytes(2).toString("hex")}`;
}
