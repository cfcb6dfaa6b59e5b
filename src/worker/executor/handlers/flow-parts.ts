/** The runs that did the work of a flow's nodes: what they came to, and what all of them left. */
import { join, relative } from "node:path";
import type { FileResult } from "../../../contract/files.ts";
import { parseNodePath, type PlannedNode } from "../../../contract/flow-run.ts";
import type { RunRecord } from "../../../contract/run-record.ts";
import { childRunId } from "../../../platform/flow/child-run-id.ts";
import type { Store } from "../../../store/store.ts";

/** A flow, or a flow in it. */
export interface FlowPlace {
  readonly runId: string;
  readonly epoch: number;
  /** Of its artifacts, absolute. */
  readonly root: string;
  readonly nodes: ReadonlyMap<string, PlannedNode>;
}

export function nodesById(nodes: readonly PlannedNode[]): FlowPlace["nodes"] {
  return new Map(nodes.map((planned) => [planned.node.id, planned]));
}

/** A file that a flow left. */
export interface FlowArtifact {
  /** Of a node in a flow in it: the nodes from the outermost on, `~` between them. */
  readonly node: string;
  /** Of a node over files: the file that it was made of. */
  readonly input?: string;
  /** Relative to the folder of the run. */
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** The run that did the work of a node in this epoch of its flow, if one did and has a report. */
export async function loadPart(store: Store, flow: FlowPlace, { path }: FileResult): Promise<RunRecord | undefined> {
  const kind = flow.nodes.get(parseNodePath(path).id)?.node.kind;
  if (kind !== "files" && kind !== "infer" && kind !== "flow") return undefined;
  const run = await store.runs.get(childRunId(flow.runId, path));
  const isOfEpoch = run?.spec.parent?.epoch === flow.epoch && run.report?.epoch === run.epoch;
  return isOfEpoch ? run : undefined;
}

/** All that a flow and the flows in it left, node by node. `folder`: of the run. */
export async function* artifactsOf(
  store: Store,
  flow: FlowPlace,
  folder: string,
  above = "",
): AsyncGenerator<FlowArtifact> {
  for await (const row of store.files.all(flow.runId, flow.epoch)) {
    const node = above + row.path;
    if (row.outputPath !== null) yield { node, ...fileOf(row, flow.root, folder) };
    if (row.transcript !== undefined) {
      yield { node, ...row.transcript, path: relative(folder, join(flow.root, row.transcript.path)) };
    }
    const part = await loadPart(store, flow, row);
    if (part === undefined) continue;
    const { nested } = flow.nodes.get(parseNodePath(row.path).id) ?? {};
    if (nested !== undefined) {
      const inner = { runId: part.id, epoch: part.epoch, root: part.spec.output.root, nodes: nodesById(nested.nodes) };
      yield* artifactsOf(store, inner, folder, `${node}~`);
      continue;
    }
    for await (const file of filesOf(store, part, folder)) yield { node, ...file };
  }
}

/** What a run over files left. */
async function* filesOf(
  store: Store,
  { id, epoch, spec, report }: RunRecord,
  folder: string,
): AsyncGenerator<Omit<FlowArtifact, "node">> {
  const { root } = spec.output;
  for await (const file of store.files.all(id, epoch)) {
    if (file.outputPath !== null) yield { input: file.path, ...fileOf(file, root, folder) };
  }
  for (const { path, bytes, sha256 } of report?.inference?.results ?? []) {
    yield { path: relative(folder, join(root, path)), bytes, sha256 };
  }
}

function fileOf(row: FileResult, root: string, folder: string): Pick<FlowArtifact, "path" | "bytes" | "sha256"> {
  const path = relative(folder, join(root, row.outputPath ?? ""));
  return { path, bytes: row.outputBytes ?? 0, sha256: row.outputSha256 ?? "" };
}
