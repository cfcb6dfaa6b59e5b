/**
 * A whole constrained generation in one ONNX graph: the prompt, then a `Loop` that walks a token trie with the cache as
 * its state. The cache never leaves the device between tokens. The trie is an input, so one model serves every schema
 * whose answers can be listed.
 *
 * Inputs: `input_ids`, `attention_mask`, `position_ids` [batch, length], padded on the left; `max_steps`; `child_token`,
 * `child_state` [states, width] and `child_bias` (0 for a child, very low for padding); `end_state`, which leads to itself.
 * Outputs: `sequences` [batch, steps], and `log_probability` [batch] of the answers among those that the trie allows.
 */
import { Graph } from "../onnx/graph.ts";
import type { CacheNames } from "./attention.ts";
import { dimensionOf } from "./attention.ts";
import type { LlamaConfig } from "./config.ts";
import { writeDecoder } from "./decoder.ts";
import { cacheNames, PRODUCER } from "./export.ts";
import type { Weights } from "./safetensors.ts";

const options = { attention: "plain", logits: "last" } as const;
const END = 2 ** 31;

/** One column, whatever the graph. */
function lastColumn(graph: Graph, value: string): string {
  return graph.op("Slice", [value, graph.int64([-1]), graph.int64([END]), graph.int64([1])]);
}

function declareInputs(graph: Graph): void {
  for (const name of ["input_ids", "attention_mask", "position_ids"]) graph.input(name, "int64", ["batch", "length"]);
  graph.input("max_steps", "int64", []);
  for (const name of ["child_token", "child_state"]) graph.input(name, "int64", ["states", "width"]);
  graph.input("child_bias", "float32", ["states", "width"]);
  graph.input("end_state", "int64", []);
}

/** Chooses the best child of each row's state; names `state_out`, `score_out`, and answers with the tokens [batch, 1]. */
function writeChoice(body: Graph): string {
  const rows = (table: string) => body.op("Gather", [table, "state_in"], { attributes: { axis: 0 } });
  const pick = (from: string, at: string) => body.op("GatherElements", [from, at], { attributes: { axis: 1 } });
  const tokens = rows("child_token");
  const scores = body.op("Add", [pick("logits_in", tokens), rows("child_bias")]);
  const best = body.op("ArgMax", [scores], { attributes: { axis: 1, keepdims: 1 } });
  const shares = body.op("LogSoftmax", [scores], { attributes: { axis: 1 } });
  body.op("Add", ["score_in", pick(shares, best)], { outputs: ["score_out"] });
  body.op("Squeeze", [pick(rows("child_state"), best), body.int64([1])], { outputs: ["state_out"] });
  return pick(tokens, best);
}

interface LoopBody {
  readonly body: Graph;
  readonly outer: Graph;
  /** A column of ones: the new token is never padding. */
  readonly ones: string;
}

function writeBody({ body, outer, ones }: LoopBody, weights: Weights, config: LlamaConfig): void {
  const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) => layer);
  const cache = (length: string) => ["batch", config.num_key_value_heads, length, config.head_dim];
  body.input("iteration", "int64", []);
  body.input("continue_in", "bool", []);
  body.input("logits_in", "float32", ["batch", config.vocab_size]);
  body.input("mask_in", "int64", ["batch", "total"]);
  body.input("position_in", "int64", ["batch", 1]);
  body.input("state_in", "int64", ["batch"]);
  body.input("score_in", "float32", ["batch", 1]);
  const past = layers.map((layer) => cacheNames("past", layer));
  for (const { key, value } of past) for (const name of [key, value]) body.input(name, "float32", cache("total"));

  const token = writeChoice(body);
  body.op("Concat", ["mask_in", ones], { attributes: { axis: 1 }, outputs: ["mask_out"] });
  const inputs = { ids: token, mask: "mask_out", positions: "position_in" };
  const present = (layer: number) => cacheNames("grown", layer);
  const logits = writeDecoder({ graph: body, weights: outer, inputs, past, present }, weights, config, options);
  body.op("Squeeze", [logits, body.int64([1])], { outputs: ["logits_out"] });
  body.op("Add", ["position_in", body.int64([1])], { outputs: ["position_out"] });
  const open = body.op("Not", [body.op("Equal", ["state_out", "end_state"])]);
  const isAnyOpen = body.op("ReduceMax", [body.op("Cast", [open], { attributes: { to: 6 } })], {
    attributes: { keepdims: 0 },
  });
  body.op("Cast", [isAnyOpen], { attributes: { to: 9 }, outputs: ["continue_out"] });
  body.op("Squeeze", [token, body.int64([1])], { outputs: ["token_out"] });

  body.output("continue_out", "bool", []);
  body.output("logits_out", "float32", ["batch", config.vocab_size]);
  body.output("mask_out", "int64", ["batch", "grown"]);
  body.output("position_out", "int64", ["batch", 1]);
  body.output("state_out", "int64", ["batch"]);
  body.output("score_out", "float32", ["batch", 1]);
  for (const { key, value } of layers.map(present)) {
    for (const name of [key, value]) body.output(name, "float32", cache("grown"));
  }
  body.output("token_out", "int64", ["batch"]);
}

/** The caches of no token yet, one empty tensor for all. */
function emptyCaches(graph: Graph, batch: string, config: LlamaConfig): CacheNames[] {
  const { num_key_value_heads: groups, head_dim: size, num_hidden_layers: layers } = config;
  const shape = graph.op("Concat", [batch, graph.int64([groups, 0, size])], { attributes: { axis: 0 } });
  const seed = graph.weight("cache.empty", [1, groups, 0, size], () => new Float32Array(0));
  const empty = graph.op("Expand", [seed, shape]);
  return Array.from({ length: layers }, () => ({ key: empty, value: empty }));
}

/** Prefill and loop in one model. */
export function exportLoop(weights: Weights, config: LlamaConfig): Uint8Array {
  const graph = new Graph("generate");
  declareInputs(graph);
  const batch = dimensionOf(graph, "input_ids", 0);
  const filled = (value: string, shape: string) => graph.op("Expand", [value, shape]);
  const column = graph.op("Concat", [batch, graph.int64([1])], { attributes: { axis: 0 } });
  const present = (layer: number) => cacheNames("prompt", layer);
  const place = {
    graph,
    weights: graph,
    inputs: { ids: "input_ids", mask: "attention_mask", positions: "position_ids" },
    past: emptyCaches(graph, batch, config),
    present,
  };
  const first = graph.op("Squeeze", [writeDecoder(place, weights, config, options), graph.int64([1])]);
  const next = graph.op("Add", [lastColumn(graph, "position_ids"), graph.int64([1])]);
  const ones = filled(graph.int64([1]), column);

  const body = new Graph("step");
  writeBody({ body, outer: graph, ones }, weights, config);
  const caches = place.past.flatMap((_, layer) => Object.values(present(layer)) as string[]);
  const states = [first, "attention_mask", next, filled(graph.int64([0]), batch), filled(graph.float32(0), column)];
  const outputs = ["logits_end", "mask_end", "position_end", "state_end", "score_end"];
  graph.ops("Loop", ["max_steps", "", ...states, ...caches], {
    attributes: { body },
    outputs: [...outputs, ...caches.map((name) => `${name}.end`), "tokens"],
  });
  graph.op("Transpose", ["tokens"], { attributes: { perm: [1, 0] }, outputs: ["sequences"] });
  graph.op("Squeeze", ["score_end", graph.int64([1])], { outputs: ["log_probability"] });
  graph.output("sequences", "int64", ["batch", "steps"]);
  graph.output("log_probability", "float32", ["batch"]);
  return graph.model(PRODUCER);
}
