/** A flow as it runs: how nodes end, and what a node makes of the ends of those that it needs. Pure. */
import type { FlowInput } from "./flow-inputs.ts";
import type { EdgeRule, FlowDocument, FlowNode } from "./flows.ts";
import type { FailureClass, Outcome, RunState } from "./outcomes.ts";
import type { FileCounts } from "./run-record.ts";

/** How a node ended, and what later nodes may read of it. */
export interface NodeEnd {
  readonly outcome: Outcome;
  readonly failureClass: FailureClass | null;
  readonly message: string | null;
  readonly exitCode: number | null;
  /** The artifact, or the folder of the outputs; absolute. */
  readonly output: string | null;
  readonly sha256: string | null;
  /** What an output that is JSON holds, or the outputs of a flow by their names; left out where there is none. */
  readonly result?: unknown;
  /** Of a node over files. */
  readonly files?: FileCounts;
  /** Of a fan-out: how many instances it had. */
  readonly items?: number;
}

/** The end of a node that had no job. */
export function unrunEnd(outcome: Outcome, message: string, failureClass: FailureClass | null = null): NodeEnd {
  return { outcome, failureClass, message, exitCode: null, output: null, sha256: null };
}

/** A node in its flow: what is kept of it while it waits. */
export interface PlannedNode {
  readonly node: FlowNode;
  /** Place in the flow file, from 0. */
  readonly index: number;
  /** The nodes whose ends its expressions read, those that it needs included. */
  readonly reads: readonly string[];
  /** Of a node that is a flow itself. */
  readonly nested?: NestedFlow;
}

/** A flow as a node of another one. */
export interface NestedFlow {
  readonly name: string;
  /** Values of the inputs that need not be given. */
  readonly inputs: Readonly<Record<string, unknown>>;
  /** The types of all; absent in flows that were started by an earlier version. */
  readonly inputTypes?: Readonly<Record<string, FlowInput["type"]>>;
  readonly env: Readonly<Record<string, string>>;
  readonly failFast: boolean;
  readonly timeoutMs?: number;
  readonly planSha256: string;
  /** What it comes to, as templates over its nodes. */
  readonly outputs?: FlowDocument["outputs"];
  readonly nodes: readonly PlannedNode[];
}

/** The address of a node, or of one instance of a fan-out: `id` or `id/INDEX`; a path among the results of the run. */
export function nodePath(id: string, instance?: number): string {
  return instance === undefined ? id : `${id}/${instance}`;
}

export function parseNodePath(path: string): { readonly id: string; readonly instance: number | undefined } {
  const slash = path.indexOf("/");
  if (slash < 0) return { id: path, instance: undefined };
  return { id: path.slice(0, slash), instance: Number(path.slice(slash + 1)) };
}

/** Nodes of a flow are fewer. */
const MOST_NODES = 20_000;

/** The number of a row among those of its flow: the place of its node, and of an instance one of its own. */
export function rowIndex(nodeIndex: number, path: string): number {
  const { instance } = parseNodePath(path);
  return instance === undefined ? nodeIndex : (instance + 1) * MOST_NODES + nodeIndex;
}

export type NodeDecision =
  | { readonly kind: "run" }
  | { readonly kind: "end"; readonly outcome: "skipped" | "cancelled"; readonly message: string };

/** Whether a node whose needs have all ended may run, by the rules of its edges. */
export function decideNode(
  needs: readonly { readonly node: string; readonly on: EdgeRule }[],
  ends: ReadonlyMap<string, Pick<NodeEnd, "outcome">>,
): NodeDecision {
  for (const { node } of needs) {
    if (ends.get(node)?.outcome === "cancelled") {
      return { kind: "end", outcome: "cancelled", message: `node ${node}, which this one needs, was cancelled` };
    }
  }
  for (const { node, on } of needs) {
    const outcome = ends.get(node)?.outcome;
    if (outcome === undefined) throw new TypeError(`expected node ${node} to have ended`);
    if (!isMet(on, outcome)) {
      const message = `needs ${node} to end in ${on}, it ended ${outcome}`;
      return { kind: "end", outcome: "skipped", message };
    }
  }
  return { kind: "run" };
}

function isMet(on: EdgeRule, outcome: Outcome): boolean {
  switch (on) {
    case "always":
      return true;
    case "success":
      return outcome === "succeeded";
    case "failure":
      return outcome === "failed" || outcome === "quarantined";
  }
}

/** The end of a fan-out, from the ends of its instances. */
export function decideGroupEnd(counts: FileCounts): NodeEnd {
  const { total, succeeded, cancelled } = counts;
  const failed = counts.failed + counts.quarantined;
  const base = { failureClass: null, exitCode: null, output: null, sha256: null, items: total };
  if (failed > 0) return { ...base, outcome: "failed", message: `${failed} of ${total} failed` };
  if (cancelled > 0) return { ...base, outcome: "cancelled", message: `${cancelled} of ${total} were cancelled` };
  if (succeeded === 0 && total > 0) return { ...base, outcome: "skipped", message: `all ${total} were skipped` };
  return { ...base, outcome: "succeeded", message: null };
}

const endOutcomes: Readonly<Partial<Record<RunState, Outcome>>> = {
  succeeded: "succeeded",
  failed: "failed",
  broken: "failed",
  cancelled: "cancelled",
};

/** The outcome of a node whose work was a run of its own. */
export function outcomeOfRun(state: RunState): Outcome {
  const outcome = endOutcomes[state];
  if (outcome === undefined) throw new TypeError(`expected a run that has ended, found it ${state}`);
  return outcome;
}
