/** A flow for programs that draw: Mermaid and Graphviz. Pure. */
import type { CheckedFlow } from "../../contract/flow-check.ts";
import type { FlowEdge } from "../../contract/flow-graph.ts";
import type { FlowNode, NodeKind } from "../../contract/flows.ts";
import { dotOf } from "../../platform/flow/dot.ts";
import { truncate } from "../format.ts";
import { conditionsOf, plainLine, workOf } from "../../platform/flow/node-text.ts";

const LINE_CHARS = 60;

const mermaidShapes: Readonly<Record<NodeKind, readonly [string, string]>> = {
  exec: ["[", "]"],
  files: ["[/", "/]"],
  infer: ["{{", "}}"],
  agent: ["([", "])"],
  gate: ["{", "}"],
  flow: ["[[", "]]"],
};
const mermaidArrows: Readonly<Record<FlowEdge["on"], string>> = {
  success: "-->",
  failure: '-. "on failure" .->',
  always: '== "always" ==>',
};

/** Mermaid's `flowchart`. Nodes are numbered in it, as words such as `end` are no names there. */
export function drawMermaid(flow: CheckedFlow): string {
  const names = new Map(flow.order.map(({ id }, at) => [id, `n${at}`]));
  const nodes = flow.order.map((node) => {
    const [open, close] = mermaidShapes[node.kind];
    return `  ${names.get(node.id) ?? ""}${open}"${linesOf(node, flow).map(mermaidText).join("<br/>")}"${close}`;
  });
  const edges = edgesOf(flow).map(
    ([from, to, on]) => `  ${names.get(from) ?? ""} ${mermaidArrows[on]} ${names.get(to) ?? ""}`,
  );
  return ["flowchart TD", ...nodes, ...edges, ""].join("\n");
}

/** Signs that are part of its language, or of HTML, as entities. */
function mermaidText(text: string): string {
  return text.replace(/["#<>&`\\]/g, (sign) => `#${sign.charCodeAt(0)};`);
}

/** Graphviz' language. */
export function drawDot(flow: CheckedFlow): string {
  const nodes = flow.order.map((node) => ({
    id: node.id,
    kind: node.kind,
    needs: node.needs,
    lines: linesOf(node, flow),
  }));
  return dotOf(plainLine(flow.document.name), nodes);
}

function linesOf(node: FlowNode, flow: CheckedFlow): string[] {
  const lines = [`${node.id} (${node.kind})`, workOf(node, flow), ...conditionsOf(node)];
  return lines.map((line) => truncate(plainLine(line), LINE_CHARS));
}

function edgesOf({ order }: CheckedFlow): (readonly [from: string, to: string, on: FlowEdge["on"]])[] {
  return order.flatMap(({ id, needs }) => needs.map(({ node, on }) => [node, id, on] as const));
}
