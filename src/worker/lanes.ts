/** The lanes of a worker: one for each queue that it may serve, opened when the queue becomes known. */
import type { Redis } from "ioredis";
import { messageOf } from "../contract/errors.ts";
import { parseQueueName } from "../contract/queues.ts";
import { profileOfPlace, type JobQueues, type QueuePlace } from "../platform/job-queues.ts";
import type { Service } from "../platform/lifecycle.ts";
import type { Logger } from "../platform/logger.ts";
import type { Metrics } from "../platform/metrics.ts";
import { Lane, type ClaimedJob, type LaneConfig } from "./lane.ts";
import type { WorkerProcess } from "./lane-token.ts";
import { QueueSeries } from "./queue-series.ts";
import type { JobName, Payload } from "../contract/jobs.ts";
import type { WaitingQueue } from "../contract/status.ts";
import type { Job } from "bullmq";

export interface LanesDeps {
  /** Its commands wait until Redis is back. */
  readonly redis: Redis;
  readonly queues: JobQueues;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly worker: WorkerProcess;
  run(claimed: ClaimedJob): Promise<void>;
  onEnded(job: Job<Payload<JobName>>): void;
  onNewLane(): void;
}

/** Which queues are this worker's. */
export interface Serves {
  readonly labels: readonly string[];
  /** All names by default. */
  readonly jobNames?: readonly JobName[];
}

const REFRESH_MS = 5_000;

export class Lanes implements Service {
  readonly #deps: LanesDeps;
  readonly #config: LaneConfig;
  readonly #serves: (place: QueuePlace) => boolean;
  readonly #series: QueueSeries;
  readonly #lanes = new Map<string, Lane>();
  #list: readonly Lane[] = [];
  #timer: NodeJS.Timeout | undefined;
  #refreshing: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(deps: LanesDeps, config: LaneConfig, serves: Serves) {
    this.#deps = deps;
    this.#config = config;
    this.#series = new QueueSeries(deps.metrics);
    const { labels, jobNames } = { labels: new Set(serves.labels), jobNames: new Set<string>(serves.jobNames) };
    this.#serves = ({ name, spec }) =>
      spec.labels.every((label) => labels.has(label)) &&
      (serves.jobNames === undefined || jobNames.has(parseQueueName(name).jobName));
  }

  /** Those that may be claimed from: jobs of a newer version are left to who understands them. */
  get all(): readonly Lane[] {
    return this.#list.some((lane) => lane.leftToNewer !== undefined)
      ? this.#list.filter((lane) => lane.leftToNewer === undefined)
      : this.#list;
  }

  /** Why queues are left to workers of a newer version. */
  get leftToNewer(): readonly WaitingQueue[] {
    return this.#list.flatMap(({ place, leftToNewer: left }) => {
      if (left === undefined) return [];
      const { what, sinceMs, untilMs } = left;
      const message = `its next job has ${what}: upgrade this worker`;
      const etaMs = Math.max(0, untilMs - Date.now());
      return [{ queue: place.name, code: "NEWER_PAYLOAD", message, sinceMs, etaMs, need: null, have: null }];
    });
  }

  /** The profile whose jobs a queue holds, as its own name has it where no lane reads it. */
  profileOf(queue: string): string {
    const lane = this.#lanes.get(queue);
    return lane === undefined ? parseQueueName(queue).profile : profileOfPlace(lane.place);
  }

  async start(): Promise<void> {
    if (this.#timer !== undefined || this.#stopped) return;
    this.#timer = setInterval(() => void this.refresh(), REFRESH_MS);
    await this.#openNew();
  }

  /** Looks for queues that are new. One look at a time; failures are logged and the next look tries again. */
  refresh(): Promise<void> {
    this.#refreshing = this.#refreshing
      .then(() => this.#openNew())
      .catch((error: unknown) => {
        this.#deps.logger.warn({ reason: messageOf(error) }, "queues could not be listed");
      });
    return this.#refreshing;
  }

  abortAll(reason: Error): void {
    for (const lane of this.#lanes.values()) lane.abortAll(reason);
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#refreshing;
    await Promise.all([...this.#lanes.values()].map((lane) => lane.close()));
  }

  async #openNew(): Promise<void> {
    if (this.#stopped) return;
    for (const place of await this.#deps.queues.list()) {
      const known = this.#lanes.get(place.name);
      known?.redeclare(place.spec);
      if (known === undefined && this.#serves(place)) await this.#open(place);
    }
    this.#show();
  }

  async #open(place: QueuePlace): Promise<void> {
    const lane = new Lane(this.#deps, this.#config, place);
    this.#lanes.set(place.name, lane);
    await lane.open();
    this.#show();
  }

  /** Lanes whose jobs ask for labels by now that this worker does not carry stay open for what runs there. */
  #show(): void {
    const served = [...this.#lanes.values()].filter(({ place }) => this.#serves(place));
    const added = served.filter((lane) => !this.#list.includes(lane));
    this.#list = served;
    for (const { place } of added) this.#series.begin(place);
    if (added.length > 0) this.#deps.onNewLane();
  }
}
