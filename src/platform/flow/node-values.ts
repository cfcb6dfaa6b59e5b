/** What the expressions of a node see: the inputs of the flow, and how the nodes that it reads ended. */
import type { NodeEnd, PlannedNode } from "../../contract/flow-run.ts";
import { createScope, type FlowScope } from "./expressions.ts";
import type { FlowAbout, FlowRef, FlowState } from "./flow-state.ts";

/** A node, or what else has expressions over nodes. */
type Reader = PlannedNode | (Pick<PlannedNode, "reads"> & { readonly node: { readonly id: string } });

/** The scope of a node whose reads have all ended. */
export async function loadScope(
  state: FlowState,
  { reads, node }: Reader,
  known: { readonly ref: FlowRef; readonly about: FlowAbout; readonly ends: ReadonlyMap<string, NodeEnd> },
): Promise<FlowScope> {
  const hasItems = reads.some((id) => known.ends.get(id)?.items !== undefined);
  // However it names them: `nodes.a.items`, `nodes.a["items"]`, `nodes.a. items`.
  const wantsItems = hasItems && JSON.stringify(node).includes("items");
  const nodes: Record<string, Readonly<Record<string, unknown>>> = {};
  for (const id of reads) {
    const end = known.ends.get(id);
    if (end === undefined) throw new TypeError(`expected node ${id} to have ended before ${node.id}`);
    const items = wantsItems && end.items !== undefined ? await loadItems(state, id, end.items) : undefined;
    nodes[id] = viewOf(end, items);
  }
  const { about, ref } = known;
  return createScope({ inputs: about.inputs, nodes, run: { id: ref.runId, folder: about.folder } });
}

async function loadItems(state: FlowState, id: string, count: number): Promise<Readonly<Record<string, unknown>>[]> {
  const ends = await state.instances(id, count);
  return ends.map((end, index) => (end === undefined ? { index } : { ...viewOf(end, undefined), index }));
}

function viewOf(end: NodeEnd, items: readonly unknown[] | undefined): Readonly<Record<string, unknown>> {
  const { outcome, exitCode, output, sha256, result, files } = end;
  return {
    outcome,
    exit_code: exitCode,
    output,
    sha256,
    result: result ?? null,
    ...(files !== undefined && { files }),
    ...(items !== undefined && { items }),
  };
}
