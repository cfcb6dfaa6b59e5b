/** A flow for programs that draw: Mermaid and Graphviz. Pure. */
import type { CheckedFlow } from "../../contract/flow-check.ts";
import type { FlowEdge } from "../../contract/flow-graph.ts";
import type { FlowNode, NodeKind } from "../../contract/flows.ts";
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

const dotLooks: Readonly<Record<NodeKind, string>> = {
  exec: 'shape=box, fillcolor="#e8f0fe"',
  files: 'shape=folder, fillcolor="#e6f4ea"',
  infer: 'shape=hexagon, fillcolor="#f3e8fd"',
  agent: 'shape=box, style="rounded,filled", fillcolor="#fef7e0"',
  gate: 'shape=octagon, fillcolor="#fce8e6"',
  flow: 'shape=box3d, fillcolor="#f1f3f4"',
};
const dotArrows: Readonly<Record<FlowEdge["on"], string>> = {
  success: "",
  failure: ' [label="on failure", style=dashed, color="#b3261e", fontcolor="#b3261e"]',
  always: ' [label="always", style=bold, color="#8a6d00", fontcolor="#8a6d00"]',
};

/** Graphviz' language. */
export function drawDot(flow: CheckedFlow): string {
  const nodes = flow.order.map((node) => {
    const label = linesOf(node, flow).map(dotText).join("\\n");
    return `  "${node.id}" [label="${label}", ${dotLooks[node.kind]}];`;
  });
  const edges = edgesOf(flow).map(([from, to, on]) => `  "${from}" -> "${to}"${dotArrows[on]};`);
  return [
    `digraph "${dotText(plainLine(flow.document.name))}" {`,
    "  rankdir=TB;",
    '  node [fontname="Helvetica,Arial,sans-serif", fontsize=11, margin="0.25,0.1", style=filled, color="#5f6368"];',
    '  edge [fontname="Helvetica,Arial,sans-serif", fontsize=10, color="#5f6368"];',
    ...nodes,
    ...edges,
    "}",
    "",
  ].join("\n");
}

function dotText(text: string): string {
  return text.replace(/["\\]/g, "\\$&");
}

function linesOf(node: FlowNode, flow: CheckedFlow): string[] {
  const lines = [`${node.id} (${node.kind})`, workOf(node, flow), ...conditionsOf(node)];
  return lines.map((line) => truncate(plainLine(line), LINE_CHARS));
}

function edgesOf({ order }: CheckedFlow): (readonly [from: string, to: string, on: FlowEdge["on"]])[] {
  return order.flatMap(({ id, needs }) => needs.map(({ node, on }) => [node, id, on] as const));
}
