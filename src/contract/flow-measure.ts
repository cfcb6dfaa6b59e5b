/** What a flow may come to at most, with the flows in it: what limits are held against before any of it runs. */
import { startsOf, USUAL_STARTS } from "./flow-attempts.ts";
import type { CheckedFlow } from "./flow-check.ts";
import { writtenCount } from "./flow-graph.ts";
import type { FlowLimits } from "./allow.ts";
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

/** Measures a flow whose nodes start `most` times, unless they write more; each flow in it once. */
export function measureOf(flow: CheckedFlow, most = 1, known = new Map<CheckedFlow, FlowMeasure>()): FlowMeasure {
  const earlier = known.get(flow);
  if (earlier !== undefined) return earlier;
  const inner = new Map([...flow.nested].map(([id, nested]) => [id, measureOf(nested, most, known)]));
  const sumOf = (own: (node: FlowNode) => number, key: "nodes" | "costUsd" | "turns" | "tokens") =>
    flow.order.reduce((sum, node) => sum + times(countOf(node), own(node) + (inner.get(node.id)?.[key] ?? 0)), 0);
  const measure = {
    nodes: sumOf(() => 1, "nodes"),
    costUsd: sumOf((node) => costOf(node) * startsOf(node, most), "costUsd"),
    turns: sumOf((node) => turnsOf(node) * startsOf(node, most), "turns"),
    tokens: sumOf((node) => tokensOf(node) * startsOf(node, most), "tokens"),
    width: widthOf(flow, inner),
    depth: longestWay(flow, (node) => 1 + (inner.get(node.id)?.depth ?? 0)),
    seconds: Math.min(
      flow.document.timeout_seconds ?? Infinity,
      longestWay(flow, (node) => secondsOf(node, inner.get(node.id)) * startsOf(node, most)),
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
  return node.kind === "agent" ? (node.max_cost_usd ?? Infinity) : 0;
}

function turnsOf(node: FlowNode): number {
  return node.kind === "agent" ? node.max_turns : 0;
}

function tokensOf(node: FlowNode): number {
  return node.kind === "agent" ? (node.max_tokens ?? Infinity) : 0;
}

/** As `allow.limits` writes them. */
const limited = [
  ["total_seconds", "seconds"],
  ["cost_usd", "costUsd"],
  ["turns", "turns"],
  ["tokens", "tokens"],
] as const satisfies readonly (readonly [keyof FlowLimits, keyof FlowMeasure])[];

/**
 * How often nodes may start that write nothing of it, so that the flow stays within the limits whatever fails; undefined:
 * as often as ever. Once at least: a flow that is more than that is refused.
 */
export function startsWithin(flow: CheckedFlow, limits: FlowLimits): number | undefined {
  const most = Math.min(limits.attempts ?? USUAL_STARTS, USUAL_STARTS);
  const isWithin = (starts: number) => {
    const measure = measureOf(flow, starts);
    return limited.every(([name, key]) => measure[key] <= (limits[name] ?? Infinity));
  };
  const isLimited = limited.some(([name]) => limits[name] !== undefined);
  let starts = most;
  while (isLimited && starts > 1 && !isWithin(starts)) starts -= 1;
  return starts < USUAL_STARTS ? starts : undefined;
}

function secondsOf(node: FlowNode, below: FlowMeasure | undefined): number {
  return Math.min(node.timeout_seconds ?? Infinity, below?.seconds ?? Infinity);
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
