/** A flow as people see it: its nodes and how far each of them is. */
import type { AttemptRecord, FileResult } from "./files.ts";
import type { FlowNode, NodeKind } from "./flows.ts";
import { outcomes, type FailureClass, type RunState } from "./outcomes.ts";

/**
 * `waiting`: for nodes that it needs. `ready`: for room. `asking`: a gate that waits for the answer of a person. An outcome:
 * it has ended.
 */
export const nodeStates = ["waiting", "ready", "running", "asking", ...outcomes] as const;
export type NodeState = (typeof nodeStates)[number];

/** One node of a flow, or one instance of a fan-out. */
export interface NodeView {
  /** `id`, or `id/INDEX` of an instance. */
  readonly path: string;
  readonly kind: NodeKind;
  readonly needs: FlowNode["needs"];
  readonly state: NodeState;
  readonly failureClass: FailureClass | null;
  /** Why it ended as it did. */
  readonly message: string | null;
  readonly startedAtMs: number | null;
  readonly durationMs: number | null;
  /** Of a fan-out whose entries are known. */
  readonly instances: { readonly total: number; readonly ended: number } | null;
  /** The run that does its work: of `files`, `infer` and `flow`. */
  readonly childRunId: string | null;
}

/** A node or an instance with all that is known of it. */
export interface NodeDetail extends NodeView {
  readonly runId: string;
  readonly epoch: number;
  /** What the flow says of it. */
  readonly node: FlowNode;
  readonly exitCode: number | null;
  /** The artifact, or the folder of the outputs; absolute. Null when the state of the flow is not kept any more. */
  readonly output: string | null;
  readonly sha256: string | null;
  /** Its row among the results of the run, when it has one. */
  readonly file: FileResult | null;
  readonly attempts: readonly (AttemptRecord & { readonly epoch: number })[];
}

/** A flow in one epoch. */
export interface FlowView {
  readonly runId: string;
  readonly epoch: number;
  readonly name: string;
  readonly state: RunState;
  /** What its plan is known by. */
  readonly planSha256: string;
  readonly nodes: readonly NodeView[];
}
