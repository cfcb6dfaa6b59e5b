/**
 * A Llama as an ONNX file, with the names that exports of Hugging Face have: `input_ids`, `attention_mask`,
 * `position_ids`, `past_key_values.N.key|value` -> `logits`, `present.N.key|value`. A grouped-query export has no
 * `position_ids`.
 */
import { Graph } from "../onnx/graph.ts";
import type { CacheNames } from "./attention.ts";
import type { LlamaConfig } from "./config.ts";
import { writeDecoder, type DecoderOptions } from "./decoder.ts";
import type { Weights } from "./safetensors.ts";

export const PRODUCER = "headroom";

/** The names of one layer's cache under a prefix. */
export function cacheNames(prefix: string, layer: number): CacheNames {
  return { key: `${prefix}.${layer}.key`, value: `${prefix}.${layer}.value` };
}

/** One step of decoding: new tokens and the cache in, logits and the grown cache out. */
export function exportDecoder(weights: Weights, config: LlamaConfig, options: DecoderOptions): Uint8Array {
  const graph = new Graph("llama");
  const batch = "batch_size";
  const total = "total_sequence_length";
  const cache = (length: string) => [batch, config.num_key_value_heads, length, config.head_dim];
  const inputs = {
    ids: graph.input("input_ids", "int64", [batch, "sequence_length"]),
    mask: graph.input("attention_mask", "int64", [batch, total]),
    positions: options.attention === "plain" ? graph.input("position_ids", "int64", [batch, "sequence_length"]) : "",
  };
  const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) => layer);
  const past = layers.map((layer) => cacheNames("past_key_values", layer));
  for (const { key, value } of past) {
    for (const name of [key, value]) graph.input(name, "float32", cache("past_sequence_length"));
  }
  const present = (layer: number) => cacheNames("present", layer);
  const logits = writeDecoder({ graph, weights: graph, inputs, past, present }, weights, config, options);
  graph.op("Identity", [logits], { outputs: ["logits"] });
  graph.output("logits", "float32", [batch, options.logits === "last" ? 1 : "sequence_length", config.vocab_size]);
  for (const { key, value } of layers.map(present)) {
    for (const name of [key, value]) graph.output(name, "float32", cache(total));
  }
  return graph.model(PRODUCER);
}
