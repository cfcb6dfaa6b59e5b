/** Reads and makes the weights of a Llama: safetensors (float32 only), or random ones of the same shapes. */
import { readFileSync } from "node:fs";
import type { LlamaConfig } from "./config.ts";

export interface Tensor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}
export type Weights = ReadonlyMap<string, Tensor>;

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

const HEADER_LENGTH_BYTES = 8;

/** The tensors of a safetensors file. @throws for an element type other than F32 */
export function loadSafetensors(path: string): Weights {
  const file = readFileSync(path);
  const start = HEADER_LENGTH_BYTES + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(HEADER_LENGTH_BYTES, start).toString()) as Record<string, Entry>;
  const tensors = Object.entries(header).filter(([name]) => name !== "__metadata__");
  return new Map(
    tensors.map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => {
        if (dtype !== "F32") throw new TypeError(`${path}: tensor ${name}: expected F32, found ${dtype}`);
        const bytes = Uint8Array.prototype.slice.call(file, start + from, start + to);
        return [name, { shape, values: new Float32Array(bytes.buffer) }];
      },
    ),
  );
}

/** Weights that mean nothing, for tests of everything that must hold whatever a model says. */
export function randomWeights(config: LlamaConfig, random: () => number): Weights {
  const weights = new Map<string, Tensor>();
  const add = (name: string, shape: readonly number[], value: () => number) => {
    const size = shape.reduce((product, dimension) => product * dimension, 1);
    weights.set(name, { shape, values: Float32Array.from({ length: size }, value) });
  };
  const noise = () => (random() - 0.5) * 0.4;
  const one = () => 1;
  const { hidden_size: hidden, intermediate_size: inner, head_dim: head } = config;
  const queries = config.num_attention_heads * head;
  const keys = config.num_key_value_heads * head;
  add("model.embed_tokens.weight", [config.vocab_size, hidden], noise);
  add("model.norm.weight", [hidden], one);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const at = (name: string) => `model.layers.${layer}.${name}.weight`;
    add(at("input_layernorm"), [hidden], one);
    add(at("post_attention_layernorm"), [hidden], one);
    add(at("self_attn.q_proj"), [queries, hidden], noise);
    add(at("self_attn.k_proj"), [keys, hidden], noise);
    add(at("self_attn.v_proj"), [keys, hidden], noise);
    add(at("self_attn.o_proj"), [hidden, queries], noise);
    add(at("mlp.gate_proj"), [inner, hidden], noise);
    add(at("mlp.up_proj"), [inner, hidden], noise);
    add(at("mlp.down_proj"), [hidden, inner], noise);
  }
  return weights;
}
