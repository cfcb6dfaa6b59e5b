/** What drawings say of a node. Pure. */
import type { FlowEdge } from "../../contract/flow-graph.ts";
import type { CheckedFlow } from "../../contract/flow-check.ts";
import type { FlowNode } from "../../contract/flows.ts";
import { formatCommand } from "../../contract/command-text.ts";

/** What a node does, on one line. */
export function workOf(node: FlowNode, flow: CheckedFlow): string {
  switch (node.kind) {
    case "exec":
      return formatCommand(node.command);
    case "files":
      return `${formatCommand(node.command)} over ${node.input}`;
    case "infer":
      return `${node.model} over ${node.input}`;
    case "agent":
      return agentText(node);
    case "gate":
      return node.message;
    case "flow":
      return nestedText(node.file, flow.nested.get(node.id));
  }
}

function agentText({ program, tools, folder }: Extract<FlowNode, { kind: "agent" }>): string {
  const using = tools.length === 0 ? "" : ` with ${tools.join(", ")}`;
  const place = folder === undefined ? "" : ` in ${folder.path}${folder.writable ? " (writable)" : ""}`;
  return `${program}${using}${place}`;
}

function nestedText(file: string, nested: CheckedFlow | undefined): string {
  const outputs = Object.keys(nested?.document.outputs ?? {});
  const tail = outputs.length === 0 ? "" : ` → ${outputs.join(", ")}`;
  return `${file} (${count(nested?.nodeCount ?? 0, "node", "nodes")})${tail}`;
}

/** When a node runs, and how often; empty for once, whatever holds. */
export function conditionsOf({ when, foreach, max_items: most }: FlowNode): string[] {
  const each =
    typeof foreach === "string" ? foreach : foreach === undefined ? "" : count(foreach.length, "entry", "entries");
  return [
    ...(when === undefined ? [] : [`when ${when}`]),
    ...(each === "" ? [] : [`for each of ${each}${most === undefined ? "" : `, ${most} at most`}`]),
  ];
}

/** What a flow comes to, an output a line. */
export function outputsOf({ document }: CheckedFlow): string[] {
  return Object.entries(document.outputs ?? {}).map(([name, text]) => `→ ${name} = ${plainLine(text)}`);
}

export const edgeNames: Readonly<Record<FlowEdge["on"], string>> = {
  success: "",
  failure: "on failure",
  always: "always",
};

/** One line of text that moves no cursor. */
export function plainLine(text: string): string {
  return text.replace(/\s+/g, " ").replace(/\p{C}/gu, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
}

function count(amount: number, one: string, many: string): string {
  return `${amount} ${amount === 1 ? one : many}`;
}
