/** The canonical form of a checked flow: the same flow is the same text, however it was written. */
import type { CheckedFlow } from "./flow-check.ts";
import type { FlowDocument } from "./flows.ts";

/** All that a flow is: checking it again gives the same flow. */
export interface FlowPlan {
  readonly flow: FlowDocument;
  /** The flow files in it, by where they lie below the folder of the outermost one. */
  readonly files: Readonly<Record<string, FlowDocument>>;
}

/** The plan of a flow: nodes by their ids, needs by theirs. */
export function planOf(flow: CheckedFlow): FlowPlan {
  const files = new Map<string, FlowDocument>();
  collect(flow, files);
  const sorted = [...files].toSorted(([a], [b]) => compare(a, b));
  return { flow: ordered(flow.document), files: Object.fromEntries(sorted) };
}

/** One line of JSON with the keys of every object in order. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, below: unknown) =>
    typeof below === "object" && below !== null && !Array.isArray(below) ? inOrder(below) : below,
  );
}

function inOrder(object: object): object {
  const names = Object.keys(object);
  if (names.every((name, at) => at === 0 || compare(names[at - 1] ?? "", name) < 0)) return object;
  const fields = object as Readonly<Record<string, unknown>>;
  return Object.fromEntries(names.toSorted(compare).map((name) => [name, fields[name]]));
}

function collect({ nested }: CheckedFlow, files: Map<string, FlowDocument>): void {
  for (const flow of new Set(nested.values())) {
    if (files.has(flow.file)) continue;
    files.set(flow.file, ordered(flow.document));
    collect(flow, files);
  }
}

function ordered(document: FlowDocument): FlowDocument {
  const nodes = document.nodes
    .map((node) => ({ ...node, needs: node.needs.toSorted((a, b) => compare(a.node, b.node)) }))
    .toSorted((a, b) => compare(a.id, b.id));
  return { ...document, nodes };
}

/** By code units, so that it is the same in every language. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
