/** A flow as a run: its specification, and how it and the runs below it ended. */
import { join } from "node:path";
import { outcomeOfRun, type NodeEnd } from "../../contract/flow-run.ts";
import type { FailureClass, Outcome } from "../../contract/outcomes.ts";
import { noFiles, type RunRecord } from "../../contract/run-record.ts";
import { parseRunSpec } from "../../contract/run-request.ts";
import type { RunSpec } from "../../contract/run-spec.ts";
import type { FlowAbout } from "./flow-state.ts";

/** How a run that did the work of a node ended. */
export function endOfRun({ state, message, counts, spec, report }: RunRecord): NodeEnd {
  const outcome = outcomeOfRun(state);
  const { total, failed, quarantined } = counts ?? noFiles;
  const why = message ?? (outcome === "failed" ? `${failed + quarantined} of ${total} files failed` : null);
  return {
    ...{ outcome, message: why, exitCode: null, files: counts ?? noFiles },
    failureClass: classOfRun(outcome, report?.flow?.timedOut === true, message),
    output: spec.executor === "flow" ? null : spec.output.root,
    sha256: report?.outputsSha256 ?? null,
  };
}

function classOfRun(outcome: Outcome, isTimedOut: boolean, message: string | null): FailureClass | null {
  // What the operator does not allow of a run ends it with this word in front.
  if (outcome === "failed" && message?.startsWith("policy: ") === true) return "policy";
  if (outcome === "failed") return isTimedOut ? "timeout" : "exit";
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
