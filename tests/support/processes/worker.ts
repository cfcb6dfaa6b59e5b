/**
 * One worker as a process of its own, for tests that kill, stop and drain it. Its settings come as JSON in
 * `HEADROOM_TEST_PROCESS`; it prints `ready` when it claims, and `claimed NAME ID` for each claim.
 */
import { keyPrefix } from "../../../src/contract/queues.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { ServiceGroup } from "../../../src/platform/lifecycle.ts";
import { createLogger } from "../../../src/platform/logger.ts";
import { Metrics } from "../../../src/platform/metrics.ts";
import { runUntilSignal } from "../../../src/platform/run.ts";
import { openStore } from "../../../src/store/open-store.ts";
import { WorkerService } from "../../../src/worker/worker-service.ts";
import { readSettings } from "./settings.ts";

const settings = readSettings();
const logger = createLogger(settings.logLevel, { process: settings.id });
const store = await openStore(settings.store, logger);
const metrics = new Metrics({ version: "test", process: "worker" }, logger);
const worker = new WorkerService(
  {
    ...{ redisUrl: settings.redis, store, logger, metrics, clock: systemClock },
    onClaim: (name, id) => {
      process.stdout.write(`claimed ${name} ${id}\n`);
    },
  },
  {
    kp: keyPrefix(settings.prefix),
    workerId: settings.id,
    labels: settings.labels,
    governor: { maxProcesses: settings.maxProcesses },
    lockMs: settings.lockMs,
    drainMs: settings.drainMs,
    nice: 0,
    allow: settings.allow,
  },
);
const announced = {
  start: () => {
    process.stdout.write("ready\n");
    return Promise.resolve();
  },
  stop: () => Promise.resolve(),
};
const closed = { start: () => Promise.resolve(), stop: () => store.close() };
await runUntilSignal(new ServiceGroup([closed, metrics, worker, announced]), logger, { stopMs: settings.stopMs });
