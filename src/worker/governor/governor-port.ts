/** What the governor is asked, what it answers, and what it tells of itself. */
import type { Expectation } from "../../contract/expectation.ts";
import type { Amounts } from "../../contract/resources.ts";
import type { DeviceRoom, KeptRoom, RunningJob, WaitingQueue } from "../../contract/status.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import type { Admission } from "./admission.ts";
import type { AdmissionRule, AdmissionView } from "./admission-view.ts";
import type { ClassLimits } from "./class-limits.ts";
import type { CapacitySensor, Degraded } from "./capacity.ts";
import type { LongWaits, RoomOffer } from "./long-waits.ts";
import type { SharedLedger } from "./machine-ledger.ts";
import type { ProcessTrees } from "./probes/process-trees.ts";
import type { Step } from "./step.ts";
import type { UsualJob } from "./self-tuning.ts";

/** Where the governor counts. */
export interface GovernorMetrics {
  /** One claim admitted, or one queue that begins to wait for this reason. */
  decided(decision: Admission["kind"], reason: string): void;
  stepped(step: Step): void;
}

export interface GovernorDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly sensor: CapacitySensor;
  readonly processes: Pick<ProcessTrees, "watch" | "unwatch" | "read" | "pidsOf" | "readOwnCpuMs" | "close">;
  readonly metrics: GovernorMetrics;
  /** Rules of plugins, asked after our own. */
  readonly pluginRules?: readonly AdmissionRule[];
  /** What this worker and its neighbours promise, of one machine. Default: it is alone. */
  readonly shared?: SharedLedger;
  /** For what waits long; shared with whoever agrees with other workers who keeps room. Default: decided here alone. */
  readonly longWaits?: LongWaits;
  /** Limits of kinds that mostly wait; shared with whoever keeps them beyond this process. */
  readonly classLimits?: ClassLimits;
  /**
   * Takes a step against a job, or back. The ticket of one that is ended is released once its processes are gone; until then
   * no other step is taken.
   */
  readonly act: (step: Step) => void;
}

/** Room for one job. `release` may be called again; `bind` names the job that was claimed for it. */
export interface GovernorTicket {
  readonly kind: "admit";
  readonly reserved: Amounts;
  bind(jobId: string, runId: string): void;
  release(): void;
}

/** What is known of a job once its run was read. */
export interface JobFacts {
  /** Until it ends, from now on. */
  readonly remainingMs?: number;
  /** Whether it may be ended to make room. */
  readonly isRetriable?: boolean;
  readonly expectation?: Expectation;
  /** The key of its class: what is like it. */
  readonly kind?: string;
}

/** What is asked for one job of a queue. `processes: 0` in the need: it runs inside the worker. */
export interface ReserveQuestion {
  readonly queue: string;
  readonly need: Amounts;
  readonly labels: readonly string[];
  /** What every job of the queue declares to need of a card. */
  readonly gpuMemoryBytes?: number | undefined;
  /** The job itself, where it was looked at. */
  readonly jobId?: string;
  /** Whether it would be let in before others that wait in front of it. */
  readonly isBehind?: boolean | undefined;
  /** What this very job is expected to take, where that is known; otherwise it is taken for one like the last of its queue. */
  readonly expected?: UsualJob;
}

export interface GovernorSnapshot {
  readonly state: AdmissionView["state"];
  readonly capacity: Amounts;
  readonly reserved: Amounts;
  readonly observed: Amounts;
  readonly headroom: Amounts;
  readonly devices: readonly DeviceRoom[];
  /** The most memory that one job could ever be admitted with. */
  readonly largestJobBytes: number;
  /** The memory of the largest card that was seen; null where none was, or one does not tell it. */
  readonly largestCardBytes: number | null;
  readonly running: readonly RunningJob[];
  readonly waiting: readonly WaitingQueue[];
  /** For how long nothing was let in though something waits; 0 when nothing does. */
  readonly refusingMs: number;
  /** What room is kept for. */
  readonly keepsRoomFor: KeptRoom | null;
  /** What room could be kept for: it has waited long. */
  readonly offers: readonly RoomOffer[];
  /** Sensors that do not give what they should. */
  readonly degraded: readonly Degraded[];
}
