/** Two ways to write attention over a cache: from plain operators, and as the fused operator of grouped-query exports. */
import type { Graph } from "../onnx/graph.ts";
import type { LlamaConfig } from "./config.ts";

export interface CacheNames {
  readonly key: string;
  readonly value: string;
}

export interface Heads {
  readonly query: string;
  readonly key: string;
  readonly value: string;
}

/** Writes the attention of one layer; `present` names the cache that comes out. Answers with the name of the mixed values. */
export type AttentionWriter = (heads: Heads, past: CacheNames, present: CacheNames) => string;

export interface RotaryTables {
  readonly cos: string;
  readonly sin: string;
}

export interface AttentionInputs {
  readonly ids: string;
  readonly mask: string;
  readonly positions: string;
}

const MASKED = -1e9;

/** One dimension of a value, as a list of one number. */
export function dimensionOf(graph: Graph, value: string, axis: number): string {
  return graph.op("Slice", [graph.op("Shape", [value]), graph.int64([axis]), graph.int64([axis + 1])]);
}

/** The fused operator: positions follow from the mask, so rows must be padded on the right. */
export function groupedQueryAttention(
  graph: Graph,
  config: LlamaConfig,
  { mask }: AttentionInputs,
  rotary: RotaryTables,
): AttentionWriter {
  const toInt32 = { attributes: { to: 6 } };
  const lengths = graph.op("ReduceSum", [mask, graph.int64([1])], { attributes: { keepdims: 0 } });
  const lastIndex = graph.op("Cast", [graph.op("Sub", [lengths, graph.int64([1])])], toInt32);
  const total = graph.op("Cast", [graph.op("Squeeze", [dimensionOf(graph, mask, 1)])], toInt32);
  const attributes = {
    num_heads: config.num_attention_heads,
    kv_num_heads: config.num_key_value_heads,
    do_rotary: 1,
    rotary_interleaved: 0,
  };
  return ({ query, key, value }, past, present) => {
    const mixed = `${present.key}.attention`;
    const inputs = [query, key, value, past.key, past.value, lastIndex, total, rotary.cos, rotary.sin];
    const outputs = [mixed, present.key, present.value];
    graph.ops("GroupQueryAttention", inputs, { attributes, outputs, domain: "com.microsoft" });
    return mixed;
  };
}

/** 0 where a query may look, a large negative number where it may not: [batch, 1, new, all]. */
function attentionBias(graph: Graph, { ids, mask }: AttentionInputs): string {
  const fresh = graph.op("Squeeze", [dimensionOf(graph, ids, 1)]);
  const total = graph.op("Squeeze", [dimensionOf(graph, mask, 1)]);
  const range = (from: string) => graph.op("Range", [from, total, graph.int64(1)]);
  const keys = graph.op("Unsqueeze", [range(graph.int64(0)), graph.int64([0])]);
  const queries = graph.op("Unsqueeze", [range(graph.op("Sub", [total, fresh])), graph.int64([1])]);
  const causal = graph.op("Unsqueeze", [graph.op("LessOrEqual", [keys, queries]), graph.int64([0, 1])]);
  const real = graph.op("Unsqueeze", [graph.op("Cast", [mask], { attributes: { to: 9 } }), graph.int64([1, 2])]);
  return graph.op("Where", [graph.op("And", [real, causal]), graph.float32(0), graph.float32(MASKED)]);
}

/** Plain operators: positions are an input, holes in the mask are allowed anywhere, so rows are padded on the left. */
export function plainAttention(
  graph: Graph,
  config: LlamaConfig,
  inputs: AttentionInputs,
  rotary: RotaryTables,
): AttentionWriter {
  const { num_attention_heads: heads, num_key_value_heads: groups, head_dim: size } = config;
  const bias = attentionBias(graph, inputs);
  const atPositions = (table: string) =>
    graph.op("Unsqueeze", [
      graph.op("Gather", [table, inputs.positions], { attributes: { axis: 0 } }),
      graph.int64([1]),
    ]);
  const [cos, sin] = [atPositions(rotary.cos), atPositions(rotary.sin)];
  const swap = { attributes: { perm: [0, 2, 1, 3] } };
  const split = (value: string, count: number) =>
    graph.op("Transpose", [graph.op("Reshape", [value, graph.int64([0, 0, count, size])])], swap);
  const rotate = (value: string) => {
    const half = size / 2;
    const part = (from: number) =>
      graph.op("Slice", [value, graph.int64([from]), graph.int64([from + half]), graph.int64([-1])]);
    const [low, high] = [part(0), part(half)];
    const times = (left: string, right: string) => graph.op("Mul", [left, right]);
    const first = graph.op("Sub", [times(low, cos), times(high, sin)]);
    const second = graph.op("Add", [times(high, cos), times(low, sin)]);
    return graph.op("Concat", [first, second], { attributes: { axis: -1 } });
  };
  const append = (past: string, fresh: string, present: string) =>
    graph.op("Concat", [past, fresh], { attributes: { axis: 2 }, outputs: [present] });

  return ({ query, key, value }, past, present) => {
    append(past.key, rotate(split(key, groups)), present.key);
    append(past.value, split(value, groups), present.value);
    // The heads of one group lie under each other, so that keys and values are never copied per head.
    const grouped = graph.op("Reshape", [rotate(split(query, heads)), graph.int64([0, groups, -1, size])]);
    const keys = graph.op("Transpose", [present.key], { attributes: { perm: [0, 1, 3, 2] } });
    const scale = graph.float32(1 / Math.sqrt(size));
    const scores = graph.op("Mul", [graph.op("MatMul", [grouped, keys]), scale]);
    const batch = dimensionOf(graph, present.key, 0);
    const total = dimensionOf(graph, present.key, 2);
    const shape = (rows: number) =>
      graph.op("Concat", [batch, graph.int64([rows, -1]), total], { attributes: { axis: 0 } });
    const biased = graph.op("Add", [graph.op("Reshape", [scores, shape(heads)]), bias]);
    const shares = graph.op("Softmax", [biased], { attributes: { axis: -1 } });
    const mixed = graph.op("MatMul", [graph.op("Reshape", [shares, shape(groups)]), present.value]);
    const perHead = graph.op("Reshape", [mixed, graph.int64([0, heads, -1, size])]);
    return graph.op("Reshape", [graph.op("Transpose", [perHead], swap), graph.int64([0, 0, heads * size])]);
  };
}
