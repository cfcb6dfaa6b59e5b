/** What a worker says of itself: its heartbeat, and what its machine is made of. */
import type { Redis } from "ioredis";
import { hostname } from "node:os";
import { keys } from "../contract/queues.ts";
import { nothing } from "../contract/resources.ts";
import type { WorkerHeartbeat } from "../contract/status.ts";
import type { Clock } from "../platform/clock.ts";
import { delayedKey, lastDueScore } from "../platform/delayed-jobs.ts";
import type { Logger } from "../platform/logger.ts";
import type { Governor } from "./governor/governor.ts";
import { loadInventory } from "./governor/inventory.ts";
import type { HeldJobs } from "./held-jobs.ts";
import type { WorkerProcess } from "./lane-token.ts";
import type { NodeLoad } from "./turn.ts";

export interface WorkerStatusDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly governor: Governor;
  readonly held: HeldJobs;
  state(): string;
}

/** States of a worker in which it claims jobs, or is about to. */
const claiming: ReadonlySet<string> = new Set(["starting", "working"]);

export class WorkerStatus {
  readonly #deps: WorkerStatusDeps;
  readonly #who: WorkerProcess & { readonly labels: readonly string[] };

  #told: Pick<NodeLoad, "isOpen" | "capacity" | "withoutRoom"> | undefined;

  constructor(deps: WorkerStatusDeps, who: WorkerProcess & { readonly labels: readonly string[] }) {
    this.#deps = deps;
    this.#who = who;
  }

  async heartbeat(): Promise<WorkerHeartbeat> {
    const { governor, held, clock } = this.#deps;
    const { capacity, reserved, observed, headroom, largestJobBytes, ...view } = governor.snapshot();
    const measured = new Map(view.running.map((job) => [job.jobId, job]));
    const waiting = await Promise.all(
      view.waiting.map(async (reason) => ((await this.#hasWaiting(reason.queue)) ? [reason] : [])),
    );
    const withoutRoom = waiting.flat().map((reason) => reason.queue);
    governor.noteBacklog(new Set(withoutRoom));
    this.#told = { isOpen: view.state === "open", capacity, withoutRoom };
    return {
      workerId: this.#who.workerId,
      host: hostname(),
      pid: process.pid,
      startedAtMs: this.#who.startedAtMs,
      atMs: clock.nowMs(),
      state: this.#deps.state(),
      labels: this.#who.labels,
      ...{ capacity, reserved, observed, headroom, largestJobBytes },
      running: held.all.map(({ jobId, runId, sinceMs }) => ({
        jobId,
        runId,
        sinceMs,
        reserved: measured.get(jobId)?.reserved ?? {},
        rssBytes: measured.get(jobId)?.rssBytes ?? null,
        endsAtMs: measured.get(jobId)?.endsAtMs ?? null,
        enforced: measured.get(jobId)?.enforced ?? null,
      })),
      waiting: waiting.flat(),
    };
  }

  /** What the other workers are told several times a second: as the last heartbeat had it, which costs nothing. */
  load(): Pick<NodeLoad, "isOpen" | "capacity" | "withoutRoom"> {
    const { isOpen, ...told } = this.#told ?? { isOpen: false, capacity: nothing, withoutRoom: [] };
    return { ...told, isOpen: isOpen && claiming.has(this.#deps.state()) };
  }

  /** Stores what the machine is made of beside the heartbeat, for people who look at the worker. */
  async tellInventory(): Promise<void> {
    const { redis, kp, logger } = this.#deps;
    const inventory = await loadInventory(logger);
    logger.info({ inventory }, "machine described");
    const key = keys.worker(kp, this.#who.workerId);
    await redis.hset(key, "inventory", JSON.stringify(inventory)).catch((err: unknown) => {
      logger.warn({ err }, "description of the machine could not be stored");
    });
  }

  /** A reason is told only where a job waits for it. */
  async #hasWaiting(queue: string): Promise<boolean> {
    const { redis, kp, clock } = this.#deps;
    const [waiting, prioritized, due] = await Promise.all([
      redis.llen(`${kp}:${queue}:wait`),
      redis.zcard(`${kp}:${queue}:prioritized`),
      redis.zcount(delayedKey(kp, queue), "-inf", lastDueScore(clock.nowMs())),
    ]);
    return waiting + prioritized + due > 0;
  }
}
