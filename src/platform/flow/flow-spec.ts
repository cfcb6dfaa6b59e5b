/** A flow as a run: its specification, and how it and the runs below it ended. */
import { dirname, join } from "node:path";
import { outcomeOfRun, type NodeEnd } from "../../contract/flow-run.ts";
import type { FailureClass, Outcome } from "../../contract/outcomes.ts";
import { noFiles, type FlowReport, type RunRecord } from "../../contract/run-record.ts";
import { parseRunSpec } from "../../contract/run-request.ts";
import type { RunSpec } from "../../contract/run-spec.ts";
import type { FlowAbout } from "./flow-state.ts";

/** How a run that did the work of a node ended. */
export function endOfRun({ state, message, counts, spec, report }: RunRecord): NodeEnd {
  const outcome = outcomeOfRun(state);
  const { total, failed, quarantined } = counts ?? noFiles;
  const why = message ?? (outcome === "failed" ? `${failed + quarantined} of ${total} files failed` : null);
  const flow = report?.flow;
  return {
    ...{ outcome, message: why, exitCode: null, files: counts ?? noFiles },
    failureClass: classOfRun(outcome, flow, message),
    // Of a flow its whole folder: what its nodes left is below that by their ids.
    output: spec.executor === "flow" ? dirname(spec.output.root) : spec.output.root,
    sha256: report?.outputsSha256 ?? null,
    ...resultOf(flow),
  };
}

function resultOf(flow: FlowReport | undefined): Pick<NodeEnd, "result"> {
  return flow?.outputs === undefined ? {} : { result: flow.outputs };
}

function classOfRun(outcome: Outcome, flow: FlowReport | undefined, message: string | null): FailureClass | null {
  if (flow?.badOutput !== undefined) return "bad-output";
  // What the operator does not allow of a run ends it with this word in front.
  if (outcome === "failed" && message?.startsWith("policy: ") === true) return "policy";
  if (outcome === "failed") return flow?.timedOut === true ? "timeout" : "exit";
  return outcome === "cancelled" ? "cancelled" : null;
}

/** The specification of a run whose work is a flow. */
export function flowSpec(
  about: Pick<FlowAbout, "name" | "folder" | "planSha256">,
  more: Partial<RunSpec> & { readonly nodes: number },
): RunSpec {
  const { nodes, ...rest } = more;
  return parseRunSpec({
    ...rest,
    executor: "flow",
    name: about.name,
    command: ["/"],
    input: { kind: "none" },
    output: { root: join(about.folder, "artifacts"), from: "file" },
    flow: { nodes, planSha256: about.planSha256 },
  });
}
