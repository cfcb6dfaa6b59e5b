/**
 * One worker as a process of its own, for tests that kill, stop and drain it. Its settings come as JSON in
 * `HEADROOM_TEST_PROCESS`; it prints `ready` when it claims, and `claimed NAME ID` for each claim.
 */
import { keyPrefix } from "../../../src/contract/queues.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { ServiceGroup } from "../../../src/platform/lifecycle.ts";
import { createLogger } from "../../../src/platform/logger.ts";
import { Metrics } from "../../../src/platform/metrics.ts";
import { OpsServer } from "../../../src/platform/ops-server.ts";
import { runUntilSignal } from "../../../src/platform/run.ts";
import { openStore } from "../../../src/store/open-store.ts";
import { Lane } from "../../../src/worker/lane.ts";
import { WorkerService } from "../../../src/worker/worker-service.ts";
import { readSettings } from "./settings.ts";

const settings = readSettings();
const logger = createLogger(settings.logLevel, { process: settings.id });
const store = await openStore(settings.store, logger);
const metrics = new Metrics({ version: "test", process: "worker" }, logger);
if (settings.hangAfterClaims !== undefined) hangClaims(settings.hangAfterClaims);
const worker = new WorkerService(
  {
    ...{ redisUrl: settings.redis, store, logger, metrics, clock: systemClock },
    onClaim: (name, id) => {
      process.stdout.write(`claimed ${name} ${id}\n`);
      const isOver = () => {
        const { user, system } = process.cpuUsage(before);
        return user + system >= settings.blockMs * 1_000;
      };
      const before = process.cpuUsage();
      while (!isOver());
    },
    onStuck: (error) => {
      setImmediate(() => {
        throw error;
      });
    },
  },
  {
    kp: keyPrefix(settings.prefix),
    workerId: settings.id,
    labels: settings.labels,
    governor: {
      maxProcesses: settings.maxProcesses,
      ...(settings.memoryMaxBytes !== undefined && { memoryMaxBytes: settings.memoryMaxBytes }),
    },
    lockMs: settings.lockMs,
    drainMs: settings.drainMs,
    nice: 0,
    allow: settings.allow,
    ...(settings.hangAfterClaims === undefined ? {} : { pullLimits: { stuckMs: 500, hangMs: 1_000 } }),
  },
);
const ops = new OpsServer({ metrics, logger, ...worker.checks }, { host: "127.0.0.1", port: 0 });
const ballast = Buffer.alloc(settings.ballastMiB * 1_048_576, 1);
const announced = {
  start: () => {
    if (settings.ops) process.stdout.write(`operations ${ops.url}\n`);
    process.stdout.write(ballast.length > 0 ? "ready with ballast\n" : "ready\n");
    return Promise.resolve();
  },
  stop: () => Promise.resolve(),
};
const closed = { start: () => Promise.resolve(), stop: () => store.close() };
const services = [closed, metrics, ...(settings.ops ? [ops, worker, ops.readiness()] : [worker]), announced];
process.on("SIGUSR2", () => {
  void metrics.expose().then((text) => {
    const [, seconds = "none"] =
      /^headroom_event_loop_lag_seconds\{[^}]*quantile="0.99"[^}]*\} (\S+)$/m.exec(text) ?? [];
    process.stdout.write(`lag p99 ${seconds}\n`);
  });
});
await runUntilSignal(new ServiceGroup(services), logger, { stopMs: settings.stopMs });

function hangClaims(after: number): void {
  const descriptor = Object.getOwnPropertyDescriptor(Lane.prototype, "claim") as { value: Lane["claim"] };
  let claimed = 0;
  Lane.prototype.claim = async function (this: Lane, ...args) {
    if (claimed >= after) await new Promise(() => undefined);
    const job = await descriptor.value.apply(this, args);
    if (typeof job === "object") claimed += 1;
    return job;
  };
}
