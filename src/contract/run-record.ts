/** Runs, artifacts and reports as the store keeps them and as the API prints them. */
import type { AgentUsage } from "./agents.ts";
import type { NodeKind } from "./flows.ts";
import type { FailureClass, RunState } from "./outcomes.ts";
import type { FileResult } from "./files.ts";
import type { RunSpec } from "./run-spec.ts";
import type { PlanSpent } from "./stored-plan.ts";

export interface FileCounts {
  readonly total: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly skipped: number;
  readonly cancelled: number;
  readonly quarantined: number;
}

export const noFiles: FileCounts = { total: 0, succeeded: 0, failed: 0, skipped: 0, cancelled: 0, quarantined: 0 };

export interface RunRecord {
  readonly id: string;
  readonly state: RunState;
  /** 0 for the first time, one more for each resume. */
  readonly epoch: number;
  readonly spec: RunSpec;
  readonly createdAtMs: number;
  readonly startedAtMs: number | null;
  readonly endedAtMs: number | null;
  /** Set when the run ends. */
  readonly counts: FileCounts | null;
  /** Why a run is `broken` or was cancelled. */
  readonly message: string | null;
  readonly idempotencyKey: string | null;
  readonly report: RunReport | null;
}

/** A run that has not ended. */
export interface OpenRun extends RunRecord {
  /** When it was asked for, or last resumed. */
  readonly queuedAtMs: number;
}

/** Quantiles by nearest rank over files that were started in this epoch. Milliseconds. */
export interface DurationQuantiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

export interface FailureGroup {
  readonly failureClass: FailureClass | "none";
  readonly message: string;
  readonly files: number;
  readonly examples: readonly string[];
  /** The end of what the first example's process wrote to standard error; null when that was nothing. */
  readonly log: string | null;
}

/** A process that took far more than others of its class do; `path` is null when it was still running. */
export interface RunAnomaly {
  readonly path: string | null;
  readonly target: "memory" | "duration" | "gpu";
  /** Bytes, or ms. */
  readonly value: number;
  /** What the middle of its class takes. */
  readonly expected: number;
}

/** What the jobs of a class may come to take more of than was learned. */
export const driftTargets = ["memory", "duration", "cpu"] as const;
export type DriftTarget = (typeof driftTargets)[number];

export interface RunAnomalies {
  readonly count: number;
  /** How often the memory of the run's class was found to be no longer what it was. */
  readonly drifts: number;
  readonly examples: readonly RunAnomaly[];
}

export interface LabelCount {
  readonly label: string;
  readonly files: number;
}

/** What a run of a model says beside its files. */
export interface InferenceReport {
  readonly model: string;
  readonly sha256: string | null;
  /** Those that ran it, for people: `cpu`, `cuda (204 of 223 operations, cpu 19)`. */
  readonly providers: readonly string[];
  /** Why others that come first in the manifest were not used. */
  readonly refusals: readonly string[];
  /** The most frequent first. */
  readonly labels: readonly LabelCount[];
  /** The files of all answers, relative to the output root. */
  readonly results: readonly { readonly path: string; readonly bytes: number; readonly sha256: string }[];
}

/** Milliseconds, by nearest rank, of the nodes of one kind that were started. */
export interface KindFigures {
  readonly kind: NodeKind;
  readonly nodes: number;
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** One step of the chain of nodes that the end of the flow had to wait for. */
export interface CriticalStep {
  readonly id: string;
  /** From the end of the node before it to its own start. */
  readonly waitedMs: number;
  readonly ranMs: number;
}

export interface ArtifactCount {
  readonly count: number;
  readonly bytes: number;
}

export interface FlowReport {
  readonly planSha256: string;
  /** Succeeded nodes of those that were started, 0 to 1; null when none was. */
  readonly successRatio: number | null;
  readonly kinds: readonly KindFigures[];
  readonly criticalPath: readonly CriticalStep[];
  /** Starts after the first, of all nodes and of the files of their runs. */
  readonly retries: number;
  /** What its nodes left, with all in the runs of those. Absent in reports of an earlier version. */
  readonly artifacts?: ArtifactCount;
  /** Nodes whose failure another node was there for, and that one succeeded: they do not fail the run. */
  readonly handled: readonly string[];
  /** What its agents, and those of flows in it, said that they used; absent where none did. */
  readonly agents?: AgentUsage;
  /** What the making of its plan took, of one that a planner made. */
  readonly planner?: { readonly name: string; readonly spent: PlanSpent };
  /** What it came to, by the names that the flow declares; null for one that is not known, as a node did not succeed. */
  readonly outputs?: Readonly<Record<string, unknown>>;
  /** Why outputs of a flow whose nodes all did well are not known: it failed for that. */
  readonly badOutput?: string;
  /** Its time was over before all nodes had ended. */
  readonly timedOut?: boolean;
}

export interface RunReport {
  readonly id: string;
  readonly name: string | null;
  readonly state: RunState;
  readonly epoch: number;
  readonly command: readonly string[];
  readonly input: string;
  readonly output: string;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly files: FileCounts;
  /** Absent in earlier reports. If not, it was cancelled while its input was being read: `files` counts what was found by then. */
  readonly isScanned?: boolean;
  /** Of a flow. */
  readonly flow?: FlowReport;
  /** Of the work of a flow's node: one digest over all outputs. */
  readonly outputsSha256?: string;
  /** Succeeded files that this epoch did not run, because their manifest row still held. */
  readonly reused: number;
  readonly durationSeconds: number;
  readonly filesPerSecond: number;
  readonly durationMs: DurationQuantiles | null;
  readonly peakBytes: number | null;
  readonly cpuSeconds: number;
  readonly inputBytes: number;
  readonly outputBytes: number;
  readonly retries: Readonly<Partial<Record<FailureClass, number>>>;
  readonly fenced: number;
  readonly failures: readonly FailureGroup[];
  readonly slowest: readonly Pick<FileResult, "path" | "durationMs" | "peakBytes">[];
  /** Absent in reports of runs that ended before anomalies were looked for. */
  readonly anomalies?: RunAnomalies;
  readonly artifacts: ArtifactCount & { readonly examples: readonly Artifact[] };
  /** Of runs of models alone. */
  readonly inference?: InferenceReport | undefined;
}

/** An output that a run keeps. `path` is relative to the run's output root. */
export interface Artifact {
  readonly path: string;
  readonly inputPath: string;
  readonly bytes: number;
  readonly sha256: string;
}
