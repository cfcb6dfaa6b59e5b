/**
 * The graph of a flow as a picture. Graphviz places the nodes of a plan once; what changes while it runs, the words and
 * tones of states and where a node leads, is put into the slots that were left for it.
 */
import type { FlowView, NodeView } from "../../contract/flow-view.ts";
import { dotOf, svgOf } from "../../platform/flow/dot.ts";
import { stateLook } from "./badge.ts";
import { escapeText, html, Html } from "./html.ts";

/** More make a picture that nobody reads, and that takes long to make. */
export const GRAPH_NODES = 100;

/** A picture with slots. */
export interface Layout {
  readonly svg: string;
}

/** As wide as the longest state, so that any fits. */
const SLOT_CHARS = 18;

/** Finds the places of the nodes of a plan. */
export async function drawLayout({ nodes }: Pick<FlowView, "nodes">): Promise<Layout> {
  const drawn = nodes.map(({ path, kind, needs }, at) => ({
    ...{ id: path, kind, needs },
    lines: [path, kind, slot("S", at).padEnd(SLOT_CHARS, "_")],
    className: slot("C", at),
    href: `#${slot("H", at)}`,
  }));
  const svg = await svgOf(dotOf("flow", drawn));
  // Without the head of a file, in the size that it has on a page.
  return { svg: svg.slice(svg.indexOf("<svg")) };
}

/** The picture with the states of now. `hrefOf` says where a node leads. */
export function drawGraph({ svg }: Layout, nodes: readonly NodeView[], hrefOf: (node: NodeView) => string): Html {
  const filled = svg.replace(/@([SCH])(\d{4})@_*/g, (_slot, what: string, at: string) => {
    const node = nodes[Number(at)];
    if (node === undefined) return "";
    const [tone, sign, word] = stateLook(node.state);
    if (what === "C") return tone;
    return escapeText(what === "S" ? `${sign} ${word}${instancesText(node)}` : hrefOf(node));
  });
  const picture = filled
    .replaceAll('xlink:href="#', 'xlink:href="')
    .replace(/ xlink:title="[^"]*"/g, "")
    .replace("<svg", '<svg class="graph" role="group" aria-label="Graph of the flow"');
  return html`${new Html(picture)}`;
}

function instancesText({ instances }: NodeView): string {
  return instances === null ? "" : ` ${instances.ended}/${instances.total}`;
}

function slot(what: string, at: number): string {
  return `@${what}${String(at).padStart(4, "0")}@`;
}
