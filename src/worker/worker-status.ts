/** What a worker says of itself: its heartbeat, and what its machine is made of. */
import type { Redis } from "ioredis";
import { hostname } from "node:os";
import { keys } from "../contract/queues.ts";
import { nothing } from "../contract/resources.ts";
import type { WaitingQueue, WorkerHeartbeat } from "../contract/status.ts";
import { PAYLOAD_VERSION } from "../contract/jobs.ts";
import type { Clock } from "../platform/clock.ts";
import { delayedKey, lastDueScore } from "../platform/delayed-jobs.ts";
import type { Logger } from "../platform/logger.ts";
import { Script } from "../platform/script.ts";
import type { Governor } from "./governor/governor.ts";
import type { RoomOffer } from "./governor/long-waits.ts";
import { loadInventory } from "./governor/inventory.ts";
import type { HeldJobs } from "./held-jobs.ts";
import type { WorkerProcess } from "./lane-token.ts";
import type { Pace } from "./pace.ts";
import type { NodeLoad } from "./turn.ts";

export interface WorkerStatusDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly governor: Governor;
  readonly held: HeldJobs;
  readonly pace: Pick<Pace, "told">;
  state(): string;
  /** Queues that are left to workers of a newer version. */
  leftToNewer(): readonly WaitingQueue[];
}

/**
 * How many jobs wait in each of some queues. KEYS: for each queue its list, its prioritized set and its delayed set.
 * ARGV[1] the highest score of a delayed job that is due.
 */
const WAITING = new Script(`
local counts = {}
for i = 1, #KEYS, 3 do
  counts[#counts + 1] = redis.call('LLEN', KEYS[i]) + redis.call('ZCARD', KEYS[i + 1])
    + redis.call('ZCOUNT', KEYS[i + 2], '-inf', ARGV[1])
end
return counts
`);

interface WorkerFacts extends WorkerProcess {
  readonly labels: readonly string[];
  /** Of the program. */
  readonly version?: string | undefined;
}

/** States of a worker in which it claims jobs, or is about to. */
const claiming: ReadonlySet<string> = new Set(["starting", "working"]);

export class WorkerStatus {
  readonly #deps: WorkerStatusDeps;
  readonly #who: WorkerFacts;

  #told: Pick<NodeLoad, "isOpen" | "capacity" | "withoutRoom"> | undefined;
  #offers: readonly RoomOffer[] = [];

  constructor(deps: WorkerStatusDeps, who: WorkerFacts) {
    this.#deps = deps;
    this.#who = who;
  }

  async heartbeat(): Promise<WorkerHeartbeat> {
    const { governor, held, clock } = this.#deps;
    const {
      capacity,
      reserved,
      observed,
      headroom,
      devices,
      largestJobBytes,
      largestCardBytes,
      keepsRoomFor,
      ...view
    } = governor.snapshot();
    const measured = new Map(view.running.map((job) => [job.jobId, job]));
    // A reason is told only where a job waits for it.
    const holding = await this.#holdingJobs(view.waiting.map(({ queue }) => queue));
    const unclaimed = view.waiting.filter(({ queue }) => holding.has(queue));
    const withoutRoom = unclaimed.map((reason) => reason.queue);
    const waiting = [...this.#deps.leftToNewer(), ...unclaimed];
    governor.noteBacklog(new Set(withoutRoom));
    this.#offers = view.offers.filter(({ queue }) => withoutRoom.includes(queue));
    this.#told = { isOpen: view.state === "open", capacity, withoutRoom };
    return {
      workerId: this.#who.workerId,
      host: hostname(),
      pid: process.pid,
      startedAtMs: this.#who.startedAtMs,
      atMs: clock.nowMs(),
      state: this.#deps.state(),
      labels: this.#who.labels,
      ...{ capacity, reserved, observed, headroom, devices, largestJobBytes, largestCardBytes, keepsRoomFor },
      running: held.all.map(({ jobId, queue, runId, sinceMs }) => ({
        jobId,
        queue,
        runId,
        sinceMs,
        reserved: measured.get(jobId)?.reserved ?? {},
        rssBytes: measured.get(jobId)?.rssBytes ?? null,
        expectedBytes: measured.get(jobId)?.expectedBytes ?? null,
        gpu: measured.get(jobId)?.gpu,
        endsAtMs: measured.get(jobId)?.endsAtMs ?? null,
        enforced: measured.get(jobId)?.enforced ?? null,
      })),
      waiting,
      pace: this.#deps.pace.told,
      version: this.#who.version,
      payloadVersion: PAYLOAD_VERSION,
    };
  }

  /** What the other workers are told several times a second: as the last heartbeat had it, which costs nothing. */
  load(): Pick<NodeLoad, "isOpen" | "capacity" | "withoutRoom"> {
    const { isOpen, ...told } = this.#told ?? { isOpen: false, capacity: nothing, withoutRoom: [] };
    return { ...told, isOpen: isOpen && claiming.has(this.#deps.state()) };
  }

  /** For what this worker could keep room, as of the last heartbeat; first what has waited longest. */
  get offers(): readonly RoomOffer[] {
    return this.#offers;
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

  /** The queues that hold a job that nobody runs, of these. */
  async #holdingJobs(queues: readonly string[]): Promise<ReadonlySet<string>> {
    if (queues.length === 0) return new Set();
    const { redis, kp, clock } = this.#deps;
    const sets = queues.flatMap((queue) => [
      `${kp}:${queue}:wait`,
      `${kp}:${queue}:prioritized`,
      delayedKey(kp, queue),
    ]);
    const counts = (await WAITING.run(redis, sets, [lastDueScore(clock.nowMs())])) as number[];
    return new Set(queues.filter((_queue, at) => (counts[at] ?? 0) > 0));
  }
}
