/** What a flow may come to at most, with the flows in it: what limits are held against before any of it runs. */
import type { CheckedFlow } from "./flow-check.ts";
import { writtenCount } from "./flow-graph.ts";
import type { FlowNode } from "./flows.ts";

/** Infinity where nothing bounds it. */
export interface FlowMeasure {
  readonly nodes: number;
  readonly depth: number;
  readonly width: number;
  /** Along the longest way, by the time limits of the nodes on it. */
  readonly seconds: number;
  readonly costUsd: number;
  /** Of agents, with their retries. */
  readonly turns: number;
  readonly tokens: number;
}

/** Measures a flow; each flow in it once. */
export function measureOf(flow: CheckedFlow, known = new Map<CheckedFlow, FlowMeasure>()): FlowMeasure {
  const earlier = known.get(flow);
  if (earlier !== undefined) return earlier;
  const inner = new Map([...flow.nested].map(([id, nested]) => [id, measureOf(nested, known)]));
  const sumOf = (own: (node: FlowNode) => number, key: "nodes" | "costUsd" | "turns" | "tokens") =>
    flow.order.reduce((sum, node) => sum + times(countOf(node), own(node) + (inner.get(node.id)?.[key] ?? 0)), 0);
  const measure = {
    nodes: sumOf(() => 1, "nodes"),
    costUsd: sumOf(costOf, "costUsd"),
    turns: sumOf(turnsOf, "turns"),
    tokens: sumOf(tokensOf, "tokens"),
    width: widthOf(flow, inner),
    depth: longestWay(flow, (node) => 1 + (inner.get(node.id)?.depth ?? 0)),
    seconds: Math.min(
      flow.document.timeout_seconds ?? Infinity,
      longestWay(flow, (node) => secondsOf(node, inner.get(node.id))),
    ),
  };
  known.set(flow, measure);
  return measure;
}

function widthOf({ order, levels }: CheckedFlow, inner: ReadonlyMap<string, FlowMeasure>): number {
  const widths = new Map<number, number>();
  for (const node of order) {
    const level = levels.get(node.id) ?? 0;
    widths.set(level, (widths.get(level) ?? 0) + times(inner.get(node.id)?.width ?? 1, countOf(node)));
  }
  return [...widths.values()].reduce((most, width) => Math.max(most, width), 0);
}

/** How often a node runs at most. */
export function countOf(node: FlowNode): number {
  return typeof node.foreach === "string" ? (node.max_items ?? Infinity) : writtenCount(node);
}

/** Nothing is nothing, however often. */
function times(count: number, each: number): number {
  return each === 0 ? 0 : count * each;
}

function costOf(node: FlowNode): number {
  return node.kind === "agent" ? (node.max_cost_usd ?? Infinity) * attemptsOf(node) : 0;
}

function turnsOf(node: FlowNode): number {
  return node.kind === "agent" ? node.max_turns * attemptsOf(node) : 0;
}

function tokensOf(node: FlowNode): number {
  return node.kind === "agent" ? (node.max_tokens ?? Infinity) * attemptsOf(node) : 0;
}

/** The most starts that a node asks for by itself; 1 when it says nothing. */
export function attemptsOf({ retry }: FlowNode): number {
  return Object.values(retry ?? {}).reduce((most, rule) => Math.max(most, rule?.attempts ?? 1), 1);
}

function secondsOf(node: FlowNode, below: FlowMeasure | undefined): number {
  const once = Math.min(node.timeout_seconds ?? Infinity, below?.seconds ?? Infinity);
  return once * attemptsOf(node);
}

function longestWay({ order }: CheckedFlow, weightOf: (node: FlowNode) => number): number {
  const ways = new Map<string, number>();
  let longest = 0;
  for (const node of order) {
    const before = node.needs.reduce((most, need) => Math.max(most, ways.get(need.node) ?? 0), 0);
    const way = before + weightOf(node);
    ways.set(node.id, way);
    longest = Math.max(longest, way);
  }
  return longest;
}
