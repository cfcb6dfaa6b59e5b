/** What the operations server of a worker is asked. Liveness says nothing about Redis: an outage must not restart every worker. */
import type { Redis } from "ioredis";
import type { Checks } from "../platform/ops-server.ts";
import type { Store } from "../store/store.ts";
import type { GovernorSnapshot } from "./governor/governor-port.ts";
import type { PullLoop } from "./pull-loop.ts";

export interface WorkerChecks {
  readonly liveness: Checks;
  readonly readiness: Checks;
}

/** A worker whose loop got no answer from Redis for this long is not ready. */
const SILENT_MS = 10_000;

export function workerChecks(worker: {
  readonly loop: Pick<PullLoop, "isStuck" | "ages">;
  readonly store: Pick<Store, "ping">;
  readonly redis: Pick<Redis, "ping" | "status">;
  readonly governor: { snapshot(): Pick<GovernorSnapshot, "degraded"> };
  state(): string;
}): WorkerChecks {
  const { loop, store, redis, governor } = worker;
  return {
    liveness: {
      pulling: () =>
        loop.isStuck
          ? Promise.reject(new Error("the pull loop hangs, though redis takes writes: only a new process helps"))
          : Promise.resolve(),
    },
    readiness: {
      pulling: () => {
        const { pullMs } = loop.ages;
        const state = worker.state();
        if (state !== "working") return Promise.reject(new Error(`worker is ${state}`));
        if (pullMs < SILENT_MS) return Promise.resolve();
        const found = `the last one is ${Math.round(pullMs)} ms old`;
        return Promise.reject(new Error(`expected an answer from redis within ${SILENT_MS} ms, ${found}`));
      },
      // Its commands wait until Redis is back, so one is sent only over a connection that there is.
      redis: async () => {
        if (redis.status !== "ready") throw new Error(`connection to redis is ${redis.status}`);
        await redis.ping();
      },
      store: () => store.ping(),
      // One that is full is ready all the same: no request is sent to a worker, and a rollout must not wait for room.
      governor: () => {
        const blind = governor.snapshot().degraded.find(({ sensor }) => sensor === "memory");
        return blind === undefined ? Promise.resolve() : Promise.reject(new Error(blind.message));
      },
    },
  };
}
