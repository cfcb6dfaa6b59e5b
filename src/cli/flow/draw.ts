/** Draws a flow in the form that was asked for. */
import type { CheckedFlow } from "../../contract/flow-check.ts";
import { InvalidInputError } from "../../contract/errors.ts";
import { canonicalJson, planOf } from "../../contract/flow-plan.ts";
import { oneOf } from "../../contract/schema-faults.ts";
import { svgOf } from "../../platform/flow/dot.ts";
import { outStyle, type Io } from "../io.ts";
import { drawDot, drawMermaid } from "./draw-graph.ts";
import { drawTree } from "./draw-tree.ts";
import { planFormats } from "./flow-options.ts";

export type PlanFormat = (typeof planFormats)[number];

/** @throws {InvalidInputError} for a form that there is not */
export function parsePlanFormat(written: string): PlanFormat {
  const format = planFormats.find((known) => known === written);
  if (format !== undefined) return format;
  const fault = { where: "--format", expected: oneOf(planFormats, written), found: JSON.stringify(written) };
  throw new InvalidInputError("command line", [fault]);
}

/** The drawing; `json` is the canonical plan. */
export async function drawFlow(flow: CheckedFlow, format: PlanFormat, io: Io): Promise<string> {
  switch (format) {
    case "tree":
      return drawTree(flow, {
        style: outStyle(io),
        columns: io.stdout.isTTY === true ? (io.stdout.columns ?? 80) : undefined,
      });
    case "json":
      return canonicalJson(planOf(flow));
    case "mermaid":
      return drawMermaid(flow);
    case "dot":
      return drawDot(flow);
    case "svg":
      return svgOf(drawDot(flow));
  }
}
