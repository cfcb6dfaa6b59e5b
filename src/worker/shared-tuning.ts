/** What the governor of a worker finds out for longer than its process, or together with those of other workers. */
import type { Redis } from "ioredis";
import { hostname } from "node:os";
import type { Service } from "../platform/lifecycle.ts";
import { ClassLimitMemory } from "./class-limit-memory.ts";
import { DrainLeases } from "./drain-leases.ts";
import { ClassLimits } from "./governor/class-limits.ts";
import { LongWaits, type RoomOffer } from "./governor/long-waits.ts";
import type { WorkerDeps } from "./worker-port.ts";

export interface SharedTuning {
  /** For the governor. */
  readonly parts: { readonly longWaits: LongWaits; readonly classLimits: ClassLimits };
  /** Keep them up to date. */
  readonly services: readonly Service[];
}

/** `readOffers`: for which queues the worker could keep room now. */
export function createSharedTuning(
  { clock, logger, metrics }: Pick<WorkerDeps, "clock" | "logger" | "metrics">,
  at: { readonly redis: Redis; readonly kp: string; readonly workerId: string },
  readOffers: () => readonly RoomOffer[],
): SharedTuning {
  const parts = { longWaits: new LongWaits(), classLimits: new ClassLimits() };
  const { redis, kp, workerId } = at;
  const memory = { redis, kp, logger, host: hostname(), limits: parts.classLimits };
  const leases = { redis, kp, workerId, clock, logger, metrics, longWaits: parts.longWaits, readOffers };
  return { parts, services: [new ClassLimitMemory(memory), new DrainLeases(leases)] };
}
