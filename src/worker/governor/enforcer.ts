/**
 * Acts on what enforcement decides. States: `watching`; `ending` one job, until its process is gone or patience is: then
 * another one may be chosen. A job that runs many files loses only the process of the present one and goes on, so "gone"
 * is seen in what it uses, or in its release. Who stands still or is slowed is written in the ledger.
 */
import type { Logger } from "../../platform/logger.ts";
import type { AdmissionView, Gates } from "./admission-view.ts";
import type { CapacityReading } from "./capacity.ts";
import { calmCpu, decideCpuState } from "./cpu-priority.ts";
import { decideStep } from "./enforcement.ts";
import { DEFAULT_MEMORY_THRESHOLD, systemReserveOf, type GovernorConfig } from "./governor-config.ts";
import type { GovernorMetrics } from "./governor-port.ts";
import type { Reservation, Reservations } from "./reservations.ts";
import type { Eviction, Step } from "./step.ts";

const PATIENCE_MS = 5_000;
/** What is left of the use of a job once its process is gone, at most. */
const GONE_RATIO = 0.5;

interface Ending {
  readonly jobId: string;
  readonly rssBytes: number;
  readonly atMs: number;
}

/** What is looked at, beside the ledger. */
interface Seen {
  readonly reading: CapacityReading;
  readonly gates: Gates;
  readonly config: Pick<GovernorConfig, "memoryThreshold" | "systemReserveBytes">;
  readonly state: AdmissionView["state"];
}

export interface EnforcerDeps {
  readonly logger: Logger;
  readonly ledger: Reservations;
  readonly metrics: Pick<GovernorMetrics, "stepped">;
  readonly act: (step: Step) => void;
  /** A job is about to be ended. */
  readonly onEnd: (jobId: string) => void;
  /** The job that was ended is gone. */
  readonly onGone: (nowMs: number) => void;
}

export class Enforcer {
  readonly #deps: EnforcerDeps;
  #cpu = calmCpu;
  #ending: Ending | undefined;

  constructor(deps: EnforcerDeps) {
    this.#deps = deps;
  }

  /** Whether a job was ended whose memory is not back yet. */
  get isEnding(): boolean {
    return this.#ending !== undefined;
  }

  /** Looks once; takes at most one step. */
  enforce({ reading, gates, config, state }: Seen): void {
    const { memory, pressure, atMs: nowMs } = reading;
    const jobs = this.#deps.ledger.all;
    this.#cpu = decideCpuState(this.#cpu, { pressure, gates, nowMs });
    this.#settle(jobs, nowMs);
    const ending = this.#ending;
    if (ending !== undefined && nowMs - ending.atMs < PATIENCE_MS) return;
    if (ending !== undefined) {
      this.#deps.logger.warn(
        { jobId: ending.jobId },
        "job was ended for memory and is still here, looking for another",
      );
    }
    const { memoryThreshold = DEFAULT_MEMORY_THRESHOLD } = config;
    const systemReserveBytes = systemReserveOf(config, memory);
    const left = jobs.filter((job) => job.jobId !== ending?.jobId);
    const limits = { memory, pressure, memoryThreshold, systemReserveBytes };
    const step = decideStep({ ...limits, cpu: this.#cpu, isDraining: state === "draining", nowMs, jobs: left });
    if (step !== undefined) this.#take(step, jobs, nowMs);
  }

  #take(step: Step, jobs: readonly Reservation[], nowMs: number): void {
    const { ledger, logger, metrics, act } = this.#deps;
    const { jobId, message } = step;
    switch (step.kind) {
      case "end":
        this.#begin(step, jobs, nowMs);
        this.#deps.onEnd(jobId);
        break;
      case "suspend":
        ledger.suspend(jobId, { sinceMs: nowMs, message });
        break;
      case "resume":
        ledger.resume(jobId, nowMs);
        break;
      case "slow":
        ledger.slow(jobId, { sinceMs: nowMs, message });
        break;
      case "restore":
        ledger.slow(jobId, undefined);
    }
    logger.warn({ ...step }, texts[step.kind]);
    metrics.stepped(step);
    act(step);
  }

  #begin({ jobId }: Eviction, jobs: readonly Reservation[], nowMs: number): void {
    const rssBytes = jobs.find((job) => job.jobId === jobId)?.usage?.rssBytes ?? 0;
    this.#ending = { jobId, rssBytes, atMs: nowMs };
  }

  /** Sees whether the job that was ended has gone. */
  #settle(jobs: readonly Reservation[], nowMs: number): void {
    if (this.#ending === undefined) return;
    const { jobId, rssBytes } = this.#ending;
    const job = jobs.find((candidate) => candidate.jobId === jobId);
    const isGone = job === undefined || (job.usage?.rssBytes ?? 0) < GONE_RATIO * rssBytes;
    if (!isGone) return;
    this.#ending = undefined;
    this.#deps.onGone(nowMs);
  }
}

const texts: Readonly<Record<Step["kind"], string>> = {
  end: "governor ends a job for its memory",
  suspend: "governor stops a job for a while",
  resume: "governor lets a job go on",
  slow: "governor lowers the priority of a job",
  restore: "governor gives a job its priority back",
};
