/** What the steps of a leader's round work with, over a real Redis and a real store, at a time that the test sets. */
import type { Redis } from "ioredis";
import { keyPrefix } from "../../src/contract/queues.ts";
import type { RunRequest } from "../../src/contract/run-request.ts";
import { systemClock, type Clock } from "../../src/platform/clock.ts";
import { JobQueues } from "../../src/platform/job-queues.ts";
import { Metrics } from "../../src/platform/metrics.ts";
import { RunHash } from "../../src/platform/run-hash.ts";
import { createClient, type Client } from "../../src/producer/client.ts";
import { openStore } from "../../src/store/open-store.ts";
import type { Store } from "../../src/store/store.ts";
import { quietLogger } from "./quiet-logger.ts";
import { deletePrefix } from "./redis.ts";
import type { ScheduledFlow } from "../../src/contract/schedules.ts";
import { startScheduledFlow, type KnownPrograms } from "../../src/producer/flow/scheduled-flow.ts";
import type { Starter } from "../../src/scheduler/schedules.ts";
import { makeTempFolder } from "./temp-folder.ts";

export class SettableClock implements Clock {
  #nowMs: number;

  constructor(time: string) {
    this.#nowMs = Date.parse(time);
  }

  set(time: string): void {
    this.#nowMs = Date.parse(time);
  }

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(ms, signal);
  }
}

export interface SchedulerFixture extends AsyncDisposable {
  readonly kp: string;
  readonly store: Store;
  readonly client: Client;
  readonly clock: SettableClock;
  readonly folder: string;
  /** For the steps of one term. */
  deps(token?: number): StepDeps;
  /** A request that writes nothing, so that two of its runs never meet in a folder. */
  request(change?: object): RunRequest;
  /** Ends a run as its report would. */
  end(runId: string): Promise<void>;
}

export interface StepDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly store: Store;
  readonly queues: JobQueues;
  readonly hash: RunHash;
  readonly clock: Clock;
  readonly logger: typeof quietLogger;
  readonly metrics: Metrics;
  readonly starter: Starter;
  readonly term: { readonly token: number; require(): void };
}

/** `known`: the agents and profiles of its configuration. */
export async function openScheduler(
  redis: Redis,
  prefix: string,
  time: string,
  known: KnownPrograms = { agents: {}, profiles: {} },
): Promise<SchedulerFixture> {
  const kp = keyPrefix(prefix);
  const folder = makeTempFolder();
  const store = await openStore(`sqlite:${folder.path}/headroom.db`, quietLogger);
  await store.migrate();
  const clock = new SettableClock(time);
  const client = await createClient({ redis, store, prefix, clock, logger: quietLogger });
  const queues = new JobQueues(redis, kp);
  const hash = new RunHash(redis, kp);
  const metrics = new Metrics({ version: "0", process: "scheduler" }, quietLogger);
  const startRun = async (request: RunRequest, idempotencyKey: string) =>
    (await client.run(request, { idempotencyKey, isKeyChecked: true })).run;
  const startFlow = (flow: ScheduledFlow, key: string) => startScheduledFlow(client, known, flow, key);
  return {
    ...{ kp, store, client, clock, folder: folder.path },
    deps: (token = 1) => ({
      ...{ redis, kp, store, queues, hash, clock, logger: quietLogger, metrics },
      ...{ starter: { startRun, startFlow }, term: { token, require: () => undefined } },
    }),
    request: (change = {}) => ({
      ...{ command: ["/bin/true", "{input}"], input: [`${folder.path}/a`] },
      ...{ output: { root: folder.path, from: "none" }, ...change },
    }),
    end: async (runId) => {
      await store.runs.move(runId, ["queued", "running", "cancelling"], "succeeded", { endedAtMs: clock.nowMs() });
      await hash.move(runId, ["queued", "running", "cancelling"], "succeeded");
    },
    async [Symbol.asyncDispose]() {
      await queues.close();
      await client.close();
      await store.close();
      await deletePrefix(redis, prefix);
      folder[Symbol.dispose]();
    },
  };
}
