/** The worker and scheduler that a self-contained run brings along, when nobody else of its data folder has one. */
import { systemClock } from "../../platform/clock.ts";
import { ServiceGroup } from "../../platform/lifecycle.ts";
import { loadLiveWorkers, type Cluster } from "../cluster.ts";
import { createParts, createSchedulerPart, createWorkerPart, type WorkerSettings } from "../compose.ts";
import { releaseLostJobs } from "./lost-workers.ts";

const LOOK_EVERY_MS = 2_000;
/** What this process still runs for others when its own run has ended may take this long. */
const DRAIN_MS = 600_000;
const CUT_MS = 3_000;

/**
 * absent: another process of this data folder works; looked after again and again. started: this process works, to the
 * end. A worker that goes away in the middle of the run is so replaced by our own.
 */
export class LocalWorker {
  readonly #cluster: Cluster;
  readonly #settings: WorkerSettings;
  #group: ServiceGroup | undefined;
  #lookedAtMs = -Infinity;

  constructor(cluster: Cluster, settings: WorkerSettings) {
    this.#cluster = cluster;
    this.#settings = settings;
  }

  get isStarted(): boolean {
    return this.#group !== undefined;
  }

  /** Starts a worker unless one is there; whose it is, when it is another's. */
  async ensure(): Promise<{ readonly host: string; readonly pid: number } | undefined> {
    if (this.#group !== undefined) return undefined;
    const nowMs = systemClock.monotonicMs();
    if (nowMs - this.#lookedAtMs < LOOK_EVERY_MS) return undefined;
    this.#lookedAtMs = nowMs;
    const [other] = (await loadLiveWorkers(this.#cluster)).filter((worker) => worker.state !== "draining");
    if (other !== undefined) return other;
    const released = await releaseLostJobs(this.#cluster);
    if (released > 0) this.#cluster.logger.info({ released }, "jobs of workers that were killed are free again");
    const parts = createParts(this.#cluster, "run");
    const worker = await createWorkerPart(parts, { ...this.#settings, drainMs: DRAIN_MS });
    const scheduler = await createSchedulerPart(parts);
    this.#group = new ServiceGroup([parts.metrics, worker.service, scheduler.service], DRAIN_MS + CUT_MS);
    await this.#group.start();
    return undefined;
  }

  /** Ends it. `isHurried` hands back what it runs for others at once. */
  async stop(isHurried: boolean): Promise<void> {
    await this.#group?.stop(isHurried ? AbortSignal.timeout(CUT_MS) : undefined);
  }
}
