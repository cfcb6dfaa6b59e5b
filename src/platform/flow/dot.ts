/** Graphviz: its language for the graph of a flow, and what it makes of it. */
import type { Viz } from "@viz-js/viz";
import type { EdgeRule, NodeKind } from "../../contract/flows.ts";

/** A node as it is drawn. */
export interface DotNode {
  readonly id: string;
  readonly kind: NodeKind;
  /** What stands in it; texts of the caller's own. */
  readonly lines: readonly string[];
  readonly needs: readonly { readonly node: string; readonly on: EdgeRule }[];
  /** For style sheets. */
  readonly className?: string;
  /** Where it leads. */
  readonly href?: string;
}

const looks: Readonly<Record<NodeKind, string>> = {
  exec: 'shape=box, fillcolor="#e8f0fe"',
  files: 'shape=folder, fillcolor="#e6f4ea"',
  infer: 'shape=hexagon, fillcolor="#f3e8fd"',
  agent: 'shape=box, style="rounded,filled", fillcolor="#fef7e0"',
  gate: 'shape=octagon, fillcolor="#fce8e6"',
  flow: 'shape=box3d, fillcolor="#f1f3f4"',
};
const arrows: Readonly<Record<EdgeRule, string>> = {
  success: "",
  failure: ' [label="on failure", style=dashed, color="#b3261e", fontcolor="#b3261e"]',
  always: ' [label="always", style=bold, color="#8a6d00", fontcolor="#8a6d00"]',
};

/** Graphviz' language. Pure. */
export function dotOf(name: string, nodes: readonly DotNode[]): string {
  const drawn = nodes.map(({ id, kind, lines, className, href }) => {
    const more = [
      ...(className === undefined ? [] : [`class="${dotText(className)}"`]),
      ...(href === undefined ? [] : [`URL="${dotText(href)}"`, 'tooltip=" "']),
    ];
    return `  "${id}" [${[`label="${lines.map(dotText).join("\\n")}"`, looks[kind], ...more].join(", ")}];`;
  });
  const edges = nodes.flatMap(({ id, needs }) => needs.map(({ node, on }) => `  "${node}" -> "${id}"${arrows[on]};`));
  return [
    `digraph "${dotText(name)}" {`,
    "  rankdir=TB;",
    '  node [fontname="Helvetica,Arial,sans-serif", fontsize=11, margin="0.25,0.1", style=filled, color="#5f6368"];',
    '  edge [fontname="Helvetica,Arial,sans-serif", fontsize=10, color="#5f6368"];',
    ...drawn,
    ...edges,
    "}",
    "",
  ].join("\n");
}

function dotText(text: string): string {
  return text.replace(/["\\]/g, "\\$&");
}

let engine: Promise<Viz> | undefined;

/** Draws what `dotOf` says. */
export async function svgOf(dot: string): Promise<string> {
  // Graphviz takes a while to load, and few want it.
  engine ??= import("@viz-js/viz").then(({ instance }) => instance());
  return (await engine).renderString(dot, { format: "svg" });
}
