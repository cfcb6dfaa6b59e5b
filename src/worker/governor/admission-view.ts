/** The seam of the rules: what a job asks for, what a worker looks like, what a rule may object. */
import type { DeferCode } from "../../contract/defer-codes.ts";
import type { Amounts, ResourceName } from "../../contract/resources.ts";
import type { ClassLimit } from "./class-limits.ts";
import type { MachineGates } from "./machine-gates.ts";
import type { Neighbour } from "./machine-ledger.ts";
import type { Figures } from "./machine.ts";
import type { MemoryExpectation, Outlook } from "./outlook.ts";
import type { MemoryLevel } from "./probes/probe.ts";
import type { ExternalUse } from "./room.ts";

/** Why not now. `need` and `have` are in the unit of what is lacking: bytes, cores, processes, or a ratio of 0 to 1. */
export interface Objection {
  readonly code: DeferCode;
  readonly lacking:
    | ResourceName
    | "labels"
    | "pressure"
    | "time"
    | "state"
    | "turn"
    | "samples"
    | "disk"
    | "files"
    | "heat"
    | "power"
    | "gpu"
    | "rule"
    /** Of what kind the next job is: it has to be looked at. */
    | "kind";
  readonly message: string;
  readonly need: number | string | null;
  readonly have: number | string | null;
  readonly retryAfterMs: number;
}

/** Why never on this worker, whatever ends. */
export interface Refusal {
  readonly code: "UNSCHEDULABLE";
  readonly resource: ResourceName | "gpuMemoryBytes";
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
  /** Its memory over time, as far as that is known; `need` is the most of it. */
  readonly memory: MemoryExpectation;
  /** How many jobs of its class were measured; undefined when that holds nothing back. */
  readonly samples: number | undefined;
  /** How long its jobs usually take here, all their files together; undefined while that is not known. */
  readonly lastsMs?: number | undefined;
  /** The queue that it waits in. */
  readonly queue?: string;
  /** The job itself, where it was looked at. */
  readonly jobId?: string | undefined;
  /** The key of its class, where the job itself was looked at. */
  readonly kind?: string | undefined;
  /** What it is expected to write to a volume. */
  readonly diskBytes?: number;
  /** One card of its own. */
  readonly gpu?: GpuWish;
  /** What every job of its queue declares to need of a card: on a worker with smaller ones none ever fits. */
  readonly leastCardBytes?: number | undefined;
}

export interface GpuWish {
  /** At most, of the card that it gets. */
  readonly memoryBytes: number;
  /** Whether a person said so; what was learned asks for no more than a card has. */
  readonly isDeclared: boolean;
}

/** A card as the rules see it. */
export interface GpuToken {
  readonly index: number;
  readonly uuid: string;
  /** Both infinite where the card does not tell its memory: then the token alone decides. */
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** What the engine of an ended job still holds there: free for jobs like that one. */
  readonly kept?: { readonly queue: string; readonly kind: string | undefined; readonly bytes: number };
  readonly isTaken: boolean;
  /** The reservation of this worker that holds it, while one does. */
  readonly takenBy: number | undefined;
}

/** The gates that measured load closes; undefined is open. */
export interface Gates {
  /** No admission before this moment, after a job was ended for memory. */
  readonly cooldown: { readonly remainingMs: number } | undefined;
  /** Tasks are stalled for memory: share of the time. */
  readonly pressure: { readonly memorySome: number; readonly memoryFull: number } | undefined;
  /** The CPU threshold is reached: how many processes may run while it is. 0: others alone reach it. */
  readonly cpu: { readonly allowed: number; readonly utilisation: number; readonly others: number } | undefined;
  /** Those of the rest of the machine; undefined while nothing of it is known. */
  readonly machine?: MachineGates;
}

/** What is kept for a job that has waited long (long-waits.ts). */
export interface Held {
  readonly queue: string;
  /** The next job of the queue, where that was seen. */
  readonly jobId: string | undefined;
  readonly waitedMs: number;
  /** When it is expected to start; null when nobody can say when the jobs in its way end. */
  readonly startsInMs: number | null;
  /** What others that still run then may take beside it; below zero: nothing. */
  readonly spareBytes: number;
  readonly spareCores: number;
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
  /** What the running jobs will take over time, those that were promised to in this moment included. */
  readonly outlooks: readonly Outlook[];
  /** What others use of each level, over the last seconds. */
  readonly external: ExternalUse;
  /** How sure the forecast has to be (risk.ts). */
  readonly z: number;
  readonly nowMs: number;
  /** What other workers of this machine have promised. Their memory counts against the levels that both are in. */
  readonly neighbours: readonly Neighbour[];
  readonly cpuCores: number;
  /** How far cores may be promised more than once (cores.ts). */
  readonly kappa: number;
  readonly maxProcesses: number;
  /** Whether a person has set it: then it is their word on the cores too, whatever other workers promise. */
  readonly isProcessLimitSet: boolean;
  /** Cores and processes promised to jobs with processes, and cores to work inside the worker. */
  readonly reserved: { readonly cpuCores: number; readonly processes: number; readonly insideCores: number };
  /** Jobs of unknown classes that run here, and how many of them have for a while. */
  readonly unknown: { readonly running: number; readonly settled: number };
  /** Kinds of jobs that mostly wait, and how many of each run at a time (class-limits.ts). */
  readonly classLimits?: ReadonlyMap<string, ClassLimit>;
  readonly cpuThreshold: number | undefined;
  readonly gates: Gates;
  /** What running jobs are expected to still write. */
  readonly promisedDiskBytes?: number;
  /** The cards of this machine, and which are taken. */
  readonly gpus?: readonly GpuToken[];
  /** Memory of the largest card that was ever seen here; undefined while nobody knows. */
  readonly largestCardBytes?: number | undefined;
  /** What has waited long, and what is kept for it. */
  readonly held?: Held;
  /** Running jobs: for rules that count them. */
  readonly running?: readonly {
    readonly queue: string;
    readonly kind?: string | undefined;
    readonly need: Amounts;
    /** Set while its process stands still. */
    readonly suspension?: unknown;
  }[];
  /** Figures that plugins read, by name of the probe. */
  readonly figures?: Readonly<Partial<Record<string, Figures>>>;
  /** Rules of plugins, asked after our own. */
  readonly pluginRules?: readonly AdmissionRule[];
}

/** A rule objects or lets pass. Order decides which reason is told when several hold. */
export type AdmissionRule = (request: Request, view: AdmissionView) => Objection | Refusal | undefined;
