/** How a worker leaves, or is had to: what drains it, by whom it may be asked, and who is told whether it may be ended. */
import type { Redis } from "ioredis";
import { hostname } from "node:os";
import type { Service } from "../platform/lifecycle.ts";
import type { OpsRoute } from "../platform/ops-server.ts";
import { Drain, type DrainDeps } from "./drain.ts";
import { drainRoutes } from "./drain-routes.ts";
import { DrainWatch } from "./drain-watch.ts";
import { PodCost } from "./pod-cost.ts";
import type { WorkerConfig, WorkerDeps } from "./worker-port.ts";

export interface LeavingParts extends Pick<DrainDeps, "loop" | "governor" | "executors" | "held" | "onMove"> {
  readonly redis: Redis;
}

export interface Leaving {
  readonly drain: Drain;
  readonly watch: DrainWatch;
  readonly routes: readonly OpsRoute[];
  /** Belong before what claims. */
  readonly services: readonly Service[];
}

/** Wires it. */
export function createLeaving(parts: LeavingParts, { clock, logger }: WorkerDeps, config: WorkerConfig): Leaving {
  const { kp, workerId, drainMs: graceMs, pod } = config;
  const { redis, held } = parts;
  const drain = new Drain({ ...parts, clock, logger });
  const worker = { workerId, host: hostname() };
  const watch = new DrainWatch({ redis, kp, logger, drain, worker, graceMs });
  const startedMs = () => held.all.map(({ sinceMs }) => sinceMs);
  const cost = pod === undefined ? [] : [new PodCost({ clock, logger, startedMs }, pod)];
  return { drain, watch, routes: drainRoutes(drain, { clock, graceMs }), services: [watch, ...cost] };
}
