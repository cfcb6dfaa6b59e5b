/** A whole cluster in one process for benches: private Redis, SQLite store, worker, scheduler, client. */
import { join } from "node:path";
import { pino } from "pino";
import { keyPrefix } from "../../src/contract/queues.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { ControlBus } from "../../src/platform/control.ts";
import type { Logger } from "../../src/platform/logger.ts";
import { keepHeapTight } from "../../src/platform/heap.ts";
import { Metrics } from "../../src/platform/metrics.ts";
import { closeRedis, openRedis } from "../../src/platform/redis.ts";
import { createClient, type Client } from "../../src/producer/client.ts";
import { SchedulerService } from "../../src/scheduler/scheduler-service.ts";
import { openStore } from "../../src/store/open-store.ts";
import type { Store } from "../../src/store/store.ts";
import { WorkerService } from "../../src/worker/worker-service.ts";
import type { WorkerDeps } from "../../src/worker/worker-port.ts";
import { startRedis, type RedisServer } from "../../tests/support/redis-server.ts";

export const PREFIX = "bench";

export interface BenchCluster extends AsyncDisposable {
  readonly redis: RedisServer;
  readonly store: Store;
  readonly client: Client;
  readonly metrics: Metrics;
}

export interface BenchClusterOptions {
  readonly folder: string;
  /** `bench-1` by default. */
  readonly workerId?: string;
  readonly maxProcesses?: number;
  readonly onClaim?: WorkerDeps["onClaim"];
  /** Workers beside the first one: how many processes each may have. */
  readonly more?: readonly { readonly workerId: string; readonly maxProcesses: number }[];
  readonly redisArgs?: readonly string[];
  /** Of the jobs' locks; 30 s by default. */
  readonly lockMs?: number;
}

export const benchLogger: Logger = pino({ level: process.env["BENCH_LOG"] ?? "silent" }, pino.destination(2));

/** Starts everything and waits until it is ready. */
export async function startBenchCluster(options: BenchClusterOptions): Promise<BenchCluster> {
  // As every process of the product does.
  keepHeapTight();
  const kp = keyPrefix(PREFIX);
  const redis = await startRedis({ args: ["--appendonly", "yes", ...(options.redisArgs ?? [])] });
  const store = await openStore(`sqlite:${join(options.folder, "store.db")}`, benchLogger);
  await store.migrate();
  const metrics = new Metrics({ version: "bench", process: "up" }, benchLogger);
  await metrics.start();
  const deps = { store, logger: benchLogger, metrics, clock: systemClock };
  const createWorker = (workerId: string, maxProcesses: number | undefined): WorkerService =>
    new WorkerService(
      { ...deps, redisUrl: redis.url, ...(options.onClaim === undefined ? {} : { onClaim: options.onClaim }) },
      {
        kp,
        workerId,
        labels: [],
        governor: maxProcesses === undefined ? {} : { maxProcesses },
        lockMs: options.lockMs ?? 30_000,
        drainMs: 5_000,
        nice: 0,
        allow: {},
      },
    );
  const workers = [
    createWorker(options.workerId ?? "bench-1", options.maxProcesses),
    ...(options.more ?? []).map(({ workerId, maxProcesses }) => createWorker(workerId, maxProcesses)),
  ];
  const command = openRedis(redis.url, "command", benchLogger);
  const subscriber = openRedis(redis.url, "subscriber", benchLogger);
  const control = new ControlBus({ redis: command, subscriber, logger: benchLogger }, kp);
  const scheduler = new SchedulerService(
    { ...deps, redis: command, control },
    { kp, schedulerId: "bench-1", keepRunsMs: 86_400_000 },
  );
  for (const worker of workers) await worker.start();
  await control.start();
  await scheduler.start();
  const client = await createClient({ redis: redis.url, store, prefix: PREFIX, logger: benchLogger });
  return {
    redis,
    store,
    client,
    metrics,
    [Symbol.asyncDispose]: async () => {
      await client.close();
      await scheduler.stop();
      await control.stop();
      await Promise.all(workers.map((worker) => worker.stop()));
      await metrics.stop();
      await Promise.all([closeRedis(command), closeRedis(subscriber)]);
      await store.close();
      await redis.stop();
    },
  };
}
