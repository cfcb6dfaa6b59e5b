/** The graph of a flow: its order, its cycles, its depth and its width. Pure, and linear in nodes and edges. */
import type { EdgeRule, FlowNode } from "./flows.ts";

export interface FlowEdge {
  readonly node: string;
  readonly on: EdgeRule;
}

export interface FlowGraph {
  /** Every node after all that it needs; nodes that are free to start come as they are written. */
  readonly order: readonly FlowNode[];
  /** What needs a node, and by which rule. */
  readonly dependents: ReadonlyMap<string, readonly FlowEdge[]>;
  /** Steps from the first nodes, which are on level 0. */
  readonly levels: ReadonlyMap<string, number>;
  /** Nodes on the longest way through the flow. */
  readonly depth: number;
  /** Nodes on the fullest level; one that is repeated for a written list counts as often. */
  readonly width: number;
}

export type GraphResult =
  | { readonly kind: "acyclic"; readonly graph: FlowGraph }
  /** Each cycle as its nodes, the first one at the end again. */
  | {
      readonly kind: "cyclic";
      readonly cycles: readonly (readonly string[])[];
      /** What is neither on a cycle nor behind one. */
      readonly order: readonly FlowNode[];
    };

/** Told at most: who mends these sees the next ones. */
const MAX_CYCLES = 10;

/** Orders nodes whose ids are unique and whose needs exist. */
export function graphOf(nodes: readonly FlowNode[]): GraphResult {
  const dependents = dependentsOf(nodes);
  const order = orderOf(nodes, dependents);
  if (order.length < nodes.length) {
    const ordered = new Set(order.map(({ id }) => id));
    return { kind: "cyclic", cycles: cyclesAmong(nodes.filter(({ id }) => !ordered.has(id))), order };
  }
  const levels = levelsOf(order);
  const widths = new Map<number, number>();
  for (const node of order) {
    const level = levels.get(node.id) ?? 0;
    widths.set(level, (widths.get(level) ?? 0) + writtenCount(node));
  }
  const width = [...widths.values()].reduce((most, count) => Math.max(most, count), 0);
  return { kind: "acyclic", graph: { order, dependents, levels, depth: widths.size, width } };
}

/** How often a node is known to run: once, or once for each entry of a written list. */
export function writtenCount({ foreach }: FlowNode): number {
  return Array.isArray(foreach) ? foreach.length : 1;
}

function dependentsOf(nodes: readonly FlowNode[]): Map<string, FlowEdge[]> {
  const dependents = new Map<string, FlowEdge[]>(nodes.map(({ id }) => [id, []]));
  for (const { id, needs } of nodes) {
    for (const { node, on } of needs) dependents.get(node)?.push({ node: id, on });
  }
  return dependents;
}

/** Kahn's order; what is on a cycle, or behind one, is not in it. */
function orderOf(nodes: readonly FlowNode[], dependents: ReadonlyMap<string, readonly FlowEdge[]>): FlowNode[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const open = new Map(nodes.map(({ id, needs }) => [id, needs.length]));
  const order = nodes.filter(({ needs }) => needs.length === 0);
  for (const { id } of order) {
    for (const { node } of dependents.get(id) ?? []) {
      const left = (open.get(node) ?? 0) - 1;
      open.set(node, left);
      const ready = left === 0 ? byId.get(node) : undefined;
      // The list grows under the loop: that is the queue.
      if (ready !== undefined) order.push(ready);
    }
  }
  return order;
}

function levelsOf(order: readonly FlowNode[]): Map<string, number> {
  const levels = new Map<string, number>();
  for (const { id, needs } of order) {
    levels.set(
      id,
      needs.reduce((level, { node }) => Math.max(level, (levels.get(node) ?? 0) + 1), 0),
    );
  }
  return levels;
}

/** Cycles that have no node in common. Each node here is on one, or behind one. */
function cyclesAmong(stuck: readonly FlowNode[]): string[][] {
  const needs = new Map(stuck.map((node) => [node.id, node.needs.map((edge) => edge.node)]));
  const done = new Set<string>();
  const cycles: string[][] = [];
  for (const { id } of stuck) {
    if (cycles.length >= MAX_CYCLES) break;
    const cycle = done.has(id) ? undefined : cycleFrom(id, needs, done);
    if (cycle !== undefined) cycles.push(cycle);
  }
  return cycles;
}

/** Follows needs until a node comes up again; every node that was passed is done with. */
function cycleFrom(
  start: string,
  needs: ReadonlyMap<string, readonly string[]>,
  done: Set<string>,
): string[] | undefined {
  const way = new Map<string, number>();
  let at: string | undefined = start;
  while (at !== undefined && !way.has(at)) {
    way.set(at, way.size);
    // A node that cannot be ordered needs another one such; those that were passed before lead to a cycle that is told.
    at = needs.get(at)?.find((need) => needs.has(need) && !done.has(need));
  }
  const nodes = [...way.keys()];
  for (const id of nodes) done.add(id);
  if (at === undefined) return undefined;
  // Needs lead backwards; people read a flow forwards.
  const cycle = nodes.slice(way.get(at) ?? 0).toReversed();
  return [...cycle, cycle[0] ?? at];
}

/** Which nodes come before which, directly or through others: a row of bits for each node, made once for all questions. */
export class Ancestry {
  readonly #places: ReadonlyMap<string, number>;
  readonly #words: number;
  readonly #bits: Uint32Array;

  /** Of nodes in their order. */
  constructor(order: readonly FlowNode[]) {
    this.#places = new Map(order.map(({ id }, at) => [id, at]));
    this.#words = Math.ceil(order.length / 32);
    this.#bits = new Uint32Array(order.length * this.#words);
    for (const [at, { needs }] of order.entries()) {
      for (const { node } of needs) this.#join(at, this.#places.get(node));
    }
  }

  /** Whether a node comes before another one; true where that is not known, as on a cycle. */
  isBefore(id: string, other: string): boolean {
    const [above, below] = [this.#places.get(id), this.#places.get(other)];
    if (above === undefined || below === undefined) return true;
    return ((this.#bits[below * this.#words + (above >>> 5)] ?? 0) & (1 << (above & 31))) !== 0;
  }

  /** Puts a node, and all that come before it, before another one. */
  #join(at: number, need: number | undefined): void {
    if (need === undefined) return;
    const [row, above] = [at * this.#words, need * this.#words];
    for (let word = 0; word < this.#words; word += 1) {
      this.#bits[row + word] = (this.#bits[row + word] ?? 0) | (this.#bits[above + word] ?? 0);
    }
    const own = row + (need >>> 5);
    this.#bits[own] = (this.#bits[own] ?? 0) | (1 << (need & 31));
  }
}
