/** A cluster in one process for tests of flows: private Redis, SQLite store, workers, client. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { KeptAgent } from "../../src/contract/agents.ts";
import { parseAllow, SANDBOX_LABEL, type Allow, type AllowInput } from "../../src/contract/allow.ts";
import { checkFlow } from "../../src/contract/flow-check.ts";
import type { FlowDocumentInput } from "../../src/contract/flows.ts";
import type { FileResult } from "../../src/contract/files.ts";
import { keyPrefix } from "../../src/contract/queues.ts";
import type { RunStatus } from "../../src/contract/status.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { Metrics } from "../../src/platform/metrics.ts";
import { closeRedis, openRedis } from "../../src/platform/redis.ts";
import { createClient, type Client } from "../../src/producer/client.ts";
import { openStore } from "../../src/store/open-store.ts";
import type { Store } from "../../src/store/store.ts";
import { ControlBus } from "../../src/platform/control.ts";
import { SchedulerService } from "../../src/scheduler/scheduler-service.ts";
import { WorkerService } from "../../src/worker/worker-service.ts";
import type { Redis } from "ioredis";
import { quietLogger } from "./quiet-logger.ts";
import { startRedis, type RedisServer } from "./redis-server.ts";
import { Scratch } from "./scratch.ts";

const PREFIX = "flows";

export interface FlowStart {
  readonly inputs?: Readonly<Record<string, string | number | boolean>>;
  readonly agents?: Readonly<Record<string, KeptAgent>>;
  readonly isNoop?: boolean;
  /** Where the folder of a run is; below the scratch folder by default. */
  readonly folder?: (id: string) => string;
}

/** A flow file without what all have. */
export type FlowNodes = Omit<FlowDocumentInput, "version" | "name"> & { readonly name?: string };

export class FlowCluster implements AsyncDisposable {
  readonly scratch: Scratch;
  readonly client: Client;
  readonly store: Store;
  readonly redis: Redis;
  readonly kp = keyPrefix(PREFIX);
  readonly #server: RedisServer;
  readonly #workers: WorkerService[] = [];
  readonly metrics: Metrics;
  readonly #stops: (() => Promise<void>)[] = [];

  private constructor(parts: {
    scratch: Scratch;
    client: Client;
    store: Store;
    redis: Redis;
    server: RedisServer;
    metrics: Metrics;
  }) {
    this.scratch = parts.scratch;
    this.client = parts.client;
    this.store = parts.store;
    this.redis = parts.redis;
    this.#server = parts.server;
    this.metrics = parts.metrics;
  }

  static async open(workers = 1): Promise<FlowCluster> {
    const scratch = new Scratch();
    const server = await startRedis();
    const store = await openStore(`sqlite:${join(scratch.folder("store"), "store.db")}`, quietLogger);
    await store.migrate();
    const redis = openRedis(server.url, "command", quietLogger);
    const client = await createClient({ redis: server.url, store, prefix: PREFIX, logger: quietLogger });
    const metrics = new Metrics({ version: "test", process: "up" }, quietLogger);
    await metrics.start();
    const cluster = new FlowCluster({ scratch, client, store, redis, server, metrics });
    for (let at = 0; at < workers; at += 1) await cluster.addWorker(`w${at}`);
    await cluster.#startScheduler();
    return cluster;
  }

  /** Another client, held to rules. */
  clientWith(allow: AllowInput | Allow): Promise<Client> {
    return createClient({ redis: this.#server.url, store: this.store, prefix: PREFIX, logger: quietLogger, allow });
  }

  /** `redisUrl`: where it finds Redis, such as behind a proxy. */
  async addWorker(
    workerId: string,
    { redisUrl = this.#server.url, lockMs = 30_000, labels = [SANDBOX_LABEL] as readonly string[], allow = {} } = {},
  ): Promise<WorkerService> {
    const deps = { store: this.store, logger: quietLogger, metrics: this.metrics, clock: systemClock };
    const limits = { lockMs, drainMs: 1_000, nice: 0 };
    const worker = new WorkerService(
      { ...deps, redisUrl },
      { kp: this.kp, workerId, labels, governor: { maxProcesses: 8 }, allow: parseAllow(allow), ...limits },
    );
    await worker.start();
    this.#workers.push(worker);
    return worker;
  }

  /** The socket of its Redis. */
  get socket(): string {
    return this.#server.socket;
  }

  async #startScheduler(): Promise<void> {
    const subscriber = openRedis(this.#server.url, "subscriber", quietLogger);
    const control = new ControlBus({ redis: this.redis, subscriber, logger: quietLogger }, this.kp);
    const deps = { store: this.store, logger: quietLogger, metrics: this.metrics, clock: systemClock };
    const settings = { kp: this.kp, schedulerId: "s", keepRunsMs: 86_400_000 };
    const scheduler = new SchedulerService({ ...deps, redis: this.redis, control }, settings);
    await control.start();
    await scheduler.start();
    this.#stops.push(async () => {
      await scheduler.stop();
      await control.stop();
      await closeRedis(subscriber);
    });
  }

  /** Starts a flow; its run id. */
  async start(nodes: FlowNodes, { inputs = {}, agents = {}, isNoop, ...places }: FlowStart = {}): Promise<string> {
    const check = checkFlow({ version: 1, name: "flow", ...nodes });
    if (check.kind === "faulty") throw new TypeError(check.faults.map((fault) => JSON.stringify(fault)).join("\n"));
    const base = this.scratch.folder("base");
    const folder = places.folder ?? ((id: string) => join(this.scratch.folder("runs"), id));
    const run = await this.client.flows.start(check.flow, { inputs, folder, base, binaries: {}, agents, isNoop });
    return run.id;
  }

  /** Runs a flow to its end. */
  async run(nodes: FlowNodes, start: FlowStart = {}): Promise<EndedFlow> {
    return this.ended(await this.start(nodes, start));
  }

  async ended(runId: string): Promise<EndedFlow> {
    const status = await this.client.wait(runId, AbortSignal.timeout(60_000));
    const rows: FileResult[] = [];
    for await (const row of this.store.files.all(runId, status.epoch)) rows.push(row);
    return new EndedFlow(status, rows);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    for (const stop of this.#stops) await stop();
    for (const worker of this.#workers) await worker.stop();
    await this.metrics.stop();
    await this.store.close();
    await closeRedis(this.redis);
    await this.#server.stop();
    this.scratch[Symbol.dispose]();
  }
}

export class EndedFlow {
  readonly status: RunStatus;
  readonly rows: readonly FileResult[];

  constructor(status: RunStatus, rows: readonly FileResult[]) {
    this.status = status;
    this.rows = rows;
  }

  /** `node: outcome` in the order of paths. */
  get outcomes(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.rows.map(({ path, outcome }) => [path, outcome]));
  }

  row(path: string): FileResult {
    const row = this.rows.find((one) => one.path === path);
    if (row === undefined) throw new TypeError(`expected a row for ${path}`);
    return row;
  }

  /** What an artifact holds. */
  text(path: string): string {
    return readFileSync(join(this.status.spec.output.root, this.row(path).outputPath ?? ""), "utf8");
  }
}
