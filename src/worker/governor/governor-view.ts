/** From the ledger, a reading and the settings to what the rules, a heartbeat and the timer look at. Pure. */
import type { Amounts } from "../../contract/resources.ts";
import { ceilingBytes, DANGER_RATIO } from "./admission-rules.ts";
import type { AdmissionView, Gates } from "./admission-view.ts";
import type { CapacityReading } from "./capacity.ts";
import { DEFAULT_MEMORY_THRESHOLD, type GovernorConfig } from "./governor-config.ts";
import { growthBytes, type Reservation } from "./reservations.ts";

export interface ViewFacts {
  readonly state: AdmissionView["state"];
  readonly isSolitary: boolean;
  readonly labels: ReadonlySet<string>;
  readonly config: GovernorConfig;
  readonly reading: CapacityReading;
  readonly jobs: readonly Reservation[];
  readonly maxProcesses: number;
  readonly gates: Gates;
}

export function createView({ config, reading, jobs, ...facts }: ViewFacts): AdmissionView {
  const reserved = { cpuCores: 0, processes: 0, insideCores: 0 };
  let growth = 0;
  for (const job of jobs) {
    growth += growthBytes(job);
    if (job.isInside) reserved.insideCores += job.need.cpuCores;
    else {
      reserved.cpuCores += job.need.cpuCores;
      reserved.processes += job.need.processes;
    }
  }
  return {
    ...facts,
    memory: reading.memory,
    memoryThreshold: config.memoryThreshold ?? DEFAULT_MEMORY_THRESHOLD,
    isMemoryThresholdSet: config.memoryThreshold !== undefined,
    systemReserveBytes: config.systemReserveBytes ?? 0,
    growthBytes: growth,
    cpuCores: reading.cpuCores,
    reserved,
    cpuThreshold: config.cpuThreshold,
  };
}

/** What this worker has in all. */
export function capacityOf(view: AdmissionView, reading: CapacityReading): Amounts {
  return { memoryBytes: reading.memoryBytes, cpuCores: reading.cpuCores, processes: view.maxProcesses };
}

/** What is in use as measured, by whomever: memory of the level with the least room. */
export function observedOf(reading: CapacityReading, processes: number): Amounts {
  const tightest = reading.memory.toSorted((a, b) => a.limitBytes - a.usedBytes - (b.limitBytes - b.usedBytes))[0];
  return {
    memoryBytes: tightest?.usedBytes ?? 0,
    cpuCores: (reading.cpu?.utilisation ?? 0) * reading.cpuCores,
    processes,
  };
}

/** What another job could get now: below the threshold, beside what is promised or in use. Never below 0. */
export function headroomOf(view: AdmissionView, observed: Amounts, committed: Amounts): Amounts {
  const rooms = view.memory.map((level) => ceilingBytes(level, view) - level.usedBytes - view.growthBytes);
  return {
    memoryBytes: Math.max(0, Math.min(...rooms)),
    cpuCores: Math.max(0, view.cpuCores - Math.max(committed.cpuCores, observed.cpuCores)),
    processes: Math.max(0, view.maxProcesses - view.reserved.processes),
  };
}

const FASTEST_MS = 20;
const RUNNING_MS = 100;
const WAITING_MS = 250;
const IDLE_MS = 1_000;
/** A fast process writes about this much per millisecond: 1 GiB/s. */
const FASTEST_GROWTH_PER_MS = 2 ** 30 / 1_000;

/** How long until the next reading: the nearer the line of danger, the shorter, so that it is seen before it is passed. */
export function readingPauseMs(reading: CapacityReading | undefined, jobs: number, waiting: number): number {
  if (jobs === 0) return waiting > 0 ? WAITING_MS : IDLE_MS;
  const rooms = (reading?.memory ?? []).map((level) => DANGER_RATIO * level.limitBytes - level.usedBytes);
  const roomBytes = Math.min(...rooms);
  return Math.min(RUNNING_MS, Math.max(FASTEST_MS, roomBytes / FASTEST_GROWTH_PER_MS / 2));
}
