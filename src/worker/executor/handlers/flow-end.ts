/** The end of a flow's run: what its nodes came to, and the folder of the run. */
import { createHash } from "node:crypto";
import { dirname } from "node:path";
import type { FileResult } from "../../../contract/files.ts";
import { FlowFigures, partFiguresOf, type PartFigures } from "../../../contract/flow-report.ts";
import type { FlowReport, RunReport } from "../../../contract/run-record.ts";
import type { FlowPlan } from "../../../contract/flow-plan.ts";
import { loadFlowOutputs } from "../../../platform/flow/flow-outputs.ts";
import { loadStoredPlan } from "../../../platform/flow/stored-flow.ts";
import type { Logger } from "../../../platform/logger.ts";
import { obstacleTo } from "../../../platform/make-folders.ts";
import type { LiveRun } from "../../../platform/run-hash.ts";
import type { PolicyGate } from "../../../platform/policy-gate.ts";
import type { Store } from "../../../store/store.ts";
import type { FlowRuns } from "../../flow-runs.ts";
import { writeRunFolder } from "../../result/run-folder.ts";
import { artifactsOf, loadPart, nodesById, type FlowArtifact } from "./flow-parts.ts";

export interface FlowEndDeps {
  readonly store: Store;
  readonly flows: FlowRuns;
  readonly gate: PolicyGate;
  readonly logger: Logger;
}

/** What the rows of a flow's nodes say. */
export interface FlowEnd {
  readonly flow: FlowReport;
  readonly rows: readonly FileResult[];
  /** What the runs came to that did the work of nodes, by the paths of these. */
  readonly parts: ReadonlyMap<string, PartFigures>;
  /** Rows that failed and do not fail the run. */
  readonly handledRows: number;
  /** Why outputs that it declares are not known. */
  readonly outputFault: string | undefined;
  /** All that it left, read anew. */
  artifacts(): AsyncIterable<FlowArtifact>;
}

/** Reads all rows of an ended flow. */
export async function loadFlowEnd(deps: FlowEndDeps, run: LiveRun): Promise<FlowEnd> {
  const nodes = await deps.flows.of(run).state.allNodes();
  const { runId, epoch, spec } = run;
  const place = { runId, epoch, root: spec.output.root, nodes: nodesById(nodes) };
  const figures = new FlowFigures(nodes);
  const rows: FileResult[] = [];
  const parts = new Map<string, PartFigures>();
  for await (const row of deps.store.files.all(runId, epoch)) {
    const report = (await loadPart(deps.store, place, row))?.report;
    if (report != null) parts.set(row.path, partFiguresOf(report));
    figures.add(row, parts.get(row.path));
    rows.push(row);
  }
  const outputs = await loadFlowOutputs(deps.flows.of(run).state, run);
  const flow = {
    ...figures.report(spec.flow?.planSha256 ?? ""),
    ...(await loadPlanner(deps, run)),
    ...(outputs !== undefined && { outputs: outputs.values }),
  };
  const artifacts = () => artifactsOf(deps.store, place, dirname(place.root));
  const handledRows = figures.handledRows(flow.handled);
  return { flow, rows, parts, handledRows, outputFault: outputs?.fault, artifacts };
}

/** What the plan of the run took; nothing for one that a person wrote, and for a flow in another one. */
async function loadPlanner({ store }: FlowEndDeps, { spec }: LiveRun): Promise<Pick<FlowReport, "planner">> {
  if (spec.parent !== undefined) return {};
  const origin = (await store.plans.get(spec.flow?.planSha256 ?? ""))?.origin;
  return origin == null ? {} : { planner: { name: origin.planner.name, spent: origin.spent } };
}

/** Writes the folder of the run, where that may be written. A run ends without one that can never be made. */
export async function writeFlowFolder(
  deps: FlowEndDeps,
  run: LiveRun,
  end: Pick<FlowEnd, "rows" | "parts" | "artifacts"> & {
    readonly report: RunReport & { readonly flow: FlowReport };
    readonly message: string | null;
    readonly token: string;
    mayPublish(): Promise<boolean>;
  },
): Promise<void> {
  const { root: artifacts } = run.spec.output;
  if (deps.gate.writeFault(artifacts) !== undefined) return;
  const { runId } = run;
  const root = dirname(artifacts);
  try {
    await writeRunFolder({ ...end, runId, root, plan: await planFor(deps, run) });
  } catch (error) {
    const found = obstacleTo(root, error);
    if (found === undefined) throw error;
    deps.logger.warn({ runId, root, found }, "the folder of the run cannot be made");
  }
}

async function planFor({ store }: FlowEndDeps, { runId, spec }: LiveRun): Promise<FlowPlan | undefined> {
  if (spec.parent !== undefined) return undefined;
  return loadStoredPlan(store.inputs.pages(runId), runId);
}

/** One digest over the outputs of a run, for what depends on all of them. */
export async function outputsDigest({ store }: Pick<FlowEndDeps, "store">, { runId, epoch }: LiveRun): Promise<string> {
  const digest = createHash("sha256");
  for await (const { path, outcome, outputPath, outputSha256, inference } of store.files.all(runId, epoch)) {
    digest.update(JSON.stringify([path, outcome, outputPath, outputSha256, inference?.value ?? null]));
  }
  return digest.digest("hex");
}
