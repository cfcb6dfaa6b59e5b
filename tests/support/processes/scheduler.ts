/** One scheduler as a process of its own; settings as for a worker. It prints `ready` once it ticks. */
import { keyPrefix } from "../../../src/contract/queues.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { ControlBus } from "../../../src/platform/control.ts";
import { ServiceGroup } from "../../../src/platform/lifecycle.ts";
import { createLogger } from "../../../src/platform/logger.ts";
import { Metrics } from "../../../src/platform/metrics.ts";
import { closeRedis, openRedis } from "../../../src/platform/redis.ts";
import { runUntilSignal } from "../../../src/platform/run.ts";
import { createClient } from "../../../src/producer/client.ts";
import { startScheduledFlow } from "../../../src/producer/flow/scheduled-flow.ts";
import type { Starter } from "../../../src/scheduler/schedules.ts";
import { SchedulerService } from "../../../src/scheduler/scheduler-service.ts";
import { openStore } from "../../../src/store/open-store.ts";
import { readSettings } from "./settings.ts";

const settings = readSettings();
const logger = createLogger(settings.logLevel, { process: settings.id });
const store = await openStore(settings.store, logger);
const metrics = new Metrics({ version: "test", process: "scheduler" }, logger);
const redis = openRedis(settings.redis, "command", logger);
const subscriber = openRedis(settings.redis, "subscriber", logger);
const kp = keyPrefix(settings.prefix);
const control = new ControlBus({ redis, subscriber, logger }, kp);
const client = await createClient({ redis, store, prefix: settings.prefix, logger });
const starter: Starter = {
  startRun: async (request, idempotencyKey) => (await client.run(request, { idempotencyKey, isKeyChecked: true })).run,
  startFlow: (flow, key) => startScheduledFlow(client, { agents: {}, profiles: {} }, flow, key),
};
const scheduler = new SchedulerService(
  { redis, control, store, clock: systemClock, logger, metrics, starter },
  { kp, schedulerId: settings.id, keepRunsMs: 86_400_000 },
);
const connections = {
  start: () => Promise.resolve(),
  stop: async () => {
    await client.close();
    await Promise.all([closeRedis(redis), closeRedis(subscriber)]);
    await store.close();
  },
};
const announced = {
  start: () => {
    process.stdout.write("ready\n");
    return Promise.resolve();
  },
  stop: () => Promise.resolve(),
};
await runUntilSignal(new ServiceGroup([connections, control, scheduler, announced]), logger, {
  stopMs: settings.stopMs,
});
