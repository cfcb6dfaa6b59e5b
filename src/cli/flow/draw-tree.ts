/**
 * A flow as a tree for terminals. A node hangs below the last of the nodes that it waits for, and names the others; so each
 * node is there once, and what is below it comes later.
 */
import type { CheckedFlow } from "../../contract/flow-check.ts";
import type { EdgeRule, FlowNode } from "../../contract/flows.ts";
import { plural, truncate } from "../format.ts";
import type { Style } from "../style.ts";
import { conditionsOf, edgeNames, outputsOf, plainLine, workOf } from "../../platform/flow/node-text.ts";

export interface TreeLook {
  readonly style: Style;
  /** Longer lines are cut; undefined for what is no terminal. */
  readonly columns: number | undefined;
}

/** Deeper nodes are drawn at this depth, with their level. */
const MAX_INDENT = 12;

/** The whole tree, with a line about the flow above it. */
export function drawTree(flow: CheckedFlow, look: TreeLook): string {
  const { document, nodeCount, depth, width } = flow;
  const title = `${plainLine(document.name)}: ${plural(nodeCount, "node")}, ${depth} deep, ${width} wide`;
  const cut = (text: string) => truncate(text, look.columns ?? Infinity);
  const outputs = outputsOf(flow).map((line) => look.style.dim(cut(line)));
  return [look.style.bold(cut(title)), ...new Tree(flow, look).lines(), ...outputs].join("\n");
}

class Tree {
  readonly #flow: CheckedFlow;
  readonly #look: TreeLook;
  readonly #below = new Map<string, FlowNode[]>();
  readonly #lines: string[] = [];

  constructor(flow: CheckedFlow, look: TreeLook) {
    this.#flow = flow;
    this.#look = look;
    for (const node of flow.order) {
      const above = this.#above(node) ?? "";
      const beside = this.#below.get(above);
      if (beside === undefined) this.#below.set(above, [node]);
      else beside.push(node);
    }
  }

  lines(): readonly string[] {
    // A flow may be deeper than the stack, so the open branches are kept here.
    const open = this.#branch("", "").toReversed();
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      this.#draw(next);
      open.push(...this.#branch(next.node.id, next.inner).toReversed());
    }
    return this.#lines;
  }

  #branch(id: string, indent: string): Branch[] {
    const nodes = this.#below.get(id) ?? [];
    const isRoot = id === "";
    const isFull = indent.length >= MAX_INDENT * 3;
    return nodes.map((node, at) => {
      const isLast = at === nodes.length - 1;
      if (isRoot) return { node, prefix: "", inner: "" };
      if (isFull) return { node, prefix: `${indent}${String(this.#flow.levels.get(node.id))}: `, inner: indent };
      return { node, prefix: `${indent}${isLast ? "└─ " : "├─ "}`, inner: `${indent}${isLast ? "   " : "│  "}` };
    });
  }

  /** The need on the lowest level: when that has ended the others mostly have. */
  #above({ needs }: FlowNode): string | undefined {
    const level = (id: string) => this.#flow.levels.get(id) ?? 0;
    return needs.reduce<string | undefined>(
      (above, { node }) => (above === undefined || level(node) > level(above) ? node : above),
      undefined,
    );
  }

  #draw({ node, prefix, inner }: Branch): void {
    const { style } = this.#look;
    const above = this.#above(node);
    const rule = node.needs.find((edge) => edge.node === above)?.on ?? "success";
    const others = node.needs
      .filter((edge) => edge.node !== above)
      .map(({ node: id, on }) => `${id}${on === "success" ? "" : ` (${edgeNames[on]})`}`);
    const kind = node.kind.padEnd(5);
    const head = `${prefix}${node.id}  ${kind}  `;
    const tail = [edgeNames[rule], plainLine(workOf(node, this.#flow))].filter((text) => text !== "").join("  ");
    const cut = truncate(`${head}${tail}`, this.#look.columns ?? Infinity);
    this.#lines.push(
      cut.length < head.length
        ? cut
        : `${style.dim(prefix)}${style.bold(node.id)}  ${style.cyan(kind)}  ${this.#tail(rule, cut.slice(head.length))}`,
    );
    const notes = [...conditionsOf(node), ...(others.length === 0 ? [] : [`also after ${others.join(", ")}`])];
    const rest = `${inner}${(this.#below.get(node.id)?.length ?? 0) > 0 ? "│" : " "}    `;
    for (const note of notes)
      this.#lines.push(style.dim(truncate(`${rest}${plainLine(note)}`, this.#look.columns ?? Infinity)));
  }

  #tail(rule: EdgeRule, text: string): string {
    const name = edgeNames[rule];
    if (name === "" || !text.startsWith(name)) return text;
    const paint = rule === "failure" ? this.#look.style.red : this.#look.style.yellow;
    return `${paint(name)}${text.slice(name.length)}`;
  }
}

interface Branch {
  readonly node: FlowNode;
  /** In front of the node. */
  readonly prefix: string;
  /** In front of what is below it. */
  readonly inner: string;
}
