/** What a flow would run, for people. Pure. */
import { formatCommand } from "../../contract/command-text.ts";
import { edgeNames, plainLine } from "../../platform/flow/node-text.ts";
import type { DryNode, FlowDryRun } from "../../platform/flow/dry-run.ts";
import { plural } from "../format.ts";
import type { Style } from "../style.ts";

/** The lines of a dry run. */
export function flowDryRunText({ hash, nodes, refusals, outputs }: FlowDryRun, style: Style): string {
  const lines = nodes.flatMap((node) => nodeLines(node, style));
  const whole = refusals.map(({ rule, found }) => style.red(`  refused by ${rule}: ${plainLine(found)}`));
  const comesTo = Object.entries(outputs).map(([name, text]) => style.dim(`→ ${name} = ${plainLine(text)}`));
  return [...lines, ...whole, ...comesTo, "", `${plural(nodes.length, "node")} would run; plan ${hash}`].join("\n");
}

function nodeLines(node: DryNode, style: Style): string[] {
  const needs = node.needs.map(({ node: id, on }) => (on === "success" ? id : `${id} (${edgeNames[on]})`));
  const facts = [
    `profile ${node.profile}`,
    ...(needs.length === 0 ? [] : [`after ${needs.join(", ")}`]),
    ...node.conditions,
  ];
  const work = [node.command === null ? "" : formatCommand(node.command), node.work]
    .filter((text) => text !== "")
    .join(" ");
  return [
    `${style.bold(node.id)}  ${style.cyan(node.kind)}  ${plainLine(work)}`,
    style.dim(`  ${plainLine(facts.join("; "))}`),
    ...(node.problem === null ? [] : [style.red(`  would not start: ${plainLine(node.problem)}`)]),
    ...node.refusals.map(({ rule, where, found }) =>
      style.red(`  refused by ${rule} at ${where}: ${plainLine(found)}`),
    ),
  ];
}
