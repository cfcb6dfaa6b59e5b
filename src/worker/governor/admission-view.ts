/** The seam of the rules: what a job asks for, what a worker looks like, what a rule may object. */
import type { Amounts, ResourceName } from "../../contract/resources.ts";
import type { MemoryLevel } from "./probes/probe.ts";

type DeferCode =
  | "MEM_NOW"
  | "MEM_THRESHOLD"
  | "CPU"
  | "CPU_THRESHOLD"
  | "PROCESSES"
  | "PSI_MEM"
  | "COOLDOWN"
  | "LABELS"
  | "ALONE"
  | "PAUSED"
  | "DRAINING";

/** Why not now. `need` and `have` are in the unit of what is lacking: bytes, cores, processes, or a ratio of 0 to 1. */
export interface Objection {
  readonly code: DeferCode;
  readonly lacking: ResourceName | "labels" | "pressure" | "time" | "state";
  readonly message: string;
  readonly need: number | string | null;
  readonly have: number | string | null;
  readonly retryAfterMs: number;
}

/** Why never on this worker, whatever ends. */
export interface Refusal {
  readonly code: "UNSCHEDULABLE";
  readonly resource: ResourceName;
  readonly message: string;
  readonly need: number;
  readonly have: number;
}

/** What a job asks for, as the ledger will hold it. */
export interface Request {
  readonly need: Amounts;
  /** Labels that a worker must carry to serve it. */
  readonly labels: readonly string[];
  /** Runs inside the worker: no process of its own. Gates that hold processes back do not hold it. */
  readonly isInside: boolean;
}

/** The gates that measured load closes; undefined is open. */
export interface Gates {
  /** No admission before this moment, after a job was ended for memory. */
  readonly cooldown: { readonly remainingMs: number } | undefined;
  /** Tasks are stalled for memory: share of the time. */
  readonly pressure: { readonly memorySome: number; readonly memoryFull: number } | undefined;
  /** The CPU threshold is reached: how many processes may run while it is. 0: others alone reach it. */
  readonly cpu: { readonly allowed: number; readonly utilisation: number; readonly others: number } | undefined;
}

/** This worker, as the rules see it. */
export interface AdmissionView {
  readonly state: "open" | "paused" | "draining";
  /** A file that may have cost workers runs alone here, or waits for that. */
  readonly isSolitary: boolean;
  readonly labels: ReadonlySet<string>;
  readonly memory: readonly MemoryLevel[];
  /** Share of each level up to which jobs are admitted, and whether a person has set it. */
  readonly memoryThreshold: number;
  readonly isMemoryThresholdSet: boolean;
  /** Memory of the host that is left to others. */
  readonly systemReserveBytes: number;
  /** Promised to running jobs and not yet in use. */
  readonly growthBytes: number;
  readonly cpuCores: number;
  readonly maxProcesses: number;
  /** Cores and processes promised to jobs with processes, and cores to work inside the worker. */
  readonly reserved: { readonly cpuCores: number; readonly processes: number; readonly insideCores: number };
  readonly cpuThreshold: number | undefined;
  readonly gates: Gates;
}

/** A rule objects or lets pass. Order decides which reason is told when several hold. */
export type AdmissionRule = (request: Request, view: AdmissionView) => Objection | Refusal | undefined;
