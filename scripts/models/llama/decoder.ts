/** Writes a Llama decoder into a graph: embedding, layers, last norm, logits. */
import type { Graph } from "../onnx/graph.ts";
import {
  groupedQueryAttention,
  plainAttention,
  type AttentionInputs,
  type CacheNames,
  type RotaryTables,
} from "./attention.ts";
import type { LlamaConfig } from "./config.ts";
import type { Tensor, Weights } from "./safetensors.ts";

export interface DecoderOptions {
  readonly attention: "plain" | "grouped-query";
  /** Logits of every position, or of the last one alone (which is all that left padding needs). */
  readonly logits: "all" | "last";
}

export interface DecoderPlace {
  readonly graph: Graph;
  /** The graph that holds the weights: the outer one, where a loop's body shares them. */
  readonly weights: Graph;
  readonly inputs: AttentionInputs;
  readonly past: readonly CacheNames[];
  /** Names the caches that come out. */
  readonly present: (layer: number) => CacheNames;
}

function transposed({ shape: [rows = 0, columns = 0], values }: Tensor): Float32Array {
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) result[column * rows + row] = values[row * columns + column] ?? 0;
  }
  return result;
}

function rotaryTable(config: LlamaConfig, wave: (angle: number) => number): Float32Array {
  const half = config.head_dim / 2;
  const { rope_theta: theta } = config.rope_parameters;
  const size = config.max_position_embeddings * half;
  return Float32Array.from({ length: size }, (_, at) => {
    const frequency = theta ** ((-2 * (at % half)) / config.head_dim);
    return wave(Math.floor(at / half) * frequency);
  });
}

/** What the layers are made of: each method writes operators and answers with the name of their result. */
class Pieces {
  readonly #graph: Graph;
  readonly #place: Graph;
  readonly #weights: Weights;
  readonly #config: LlamaConfig;

  constructor(place: DecoderPlace, weights: Weights, config: LlamaConfig) {
    this.#graph = place.graph;
    this.#place = place.weights;
    this.#weights = weights;
    this.#config = config;
  }

  weight(name: string): string {
    const { shape, values } = this.#tensor(name);
    return this.#place.weight(name, shape, () => values);
  }

  linear(input: string, name: string): string {
    const tensor = this.#tensor(name);
    const weight = this.#place.weight(`${name}.transposed`, tensor.shape.toReversed(), () => transposed(tensor));
    return this.#graph.op("MatMul", [input, weight]);
  }

  norm(input: string, name: string): string {
    const graph = this.#graph;
    const attributes = { axes: [-1], keepdims: 1 };
    const mean = graph.op("ReduceMean", [graph.op("Mul", [input, input])], { attributes });
    const root = graph.op("Sqrt", [graph.op("Add", [mean, graph.float32(this.#config.rms_norm_eps)])]);
    return graph.op("Mul", [graph.op("Div", [input, root]), this.weight(name)]);
  }

  feedForward(input: string, layer: string): string {
    const gate = this.linear(input, `${layer}.mlp.gate_proj.weight`);
    const silu = this.#graph.op("Mul", [gate, this.#graph.op("Sigmoid", [gate])]);
    const inner = this.#graph.op("Mul", [silu, this.linear(input, `${layer}.mlp.up_proj.weight`)]);
    return this.linear(inner, `${layer}.mlp.down_proj.weight`);
  }

  rotary(): RotaryTables {
    const shape = [this.#config.max_position_embeddings, this.#config.head_dim / 2];
    const table = (name: string, wave: (angle: number) => number) =>
      this.#place.weight(name, shape, () => rotaryTable(this.#config, wave));
    return { cos: table("rotary.cos", Math.cos), sin: table("rotary.sin", Math.sin) };
  }

  /** The embedding once more, transposed inside the operator: tied weights are stored once. */
  logits(input: string): string {
    const graph = this.#graph;
    const { hidden_size: hidden, vocab_size: vocabulary } = this.#config;
    const flat = graph.op("Reshape", [input, graph.int64([-1, hidden])]);
    const scores = graph.op("Gemm", [flat, this.weight("model.embed_tokens.weight")], { attributes: { transB: 1 } });
    const rows = graph.op("Slice", [graph.op("Shape", [input]), graph.int64([0]), graph.int64([2])]);
    const shape = graph.op("Concat", [rows, graph.int64([vocabulary])], { attributes: { axis: 0 } });
    return graph.op("Reshape", [scores, shape]);
  }

  #tensor(name: string): Tensor {
    const tensor = this.#weights.get(name);
    if (tensor === undefined) throw new RangeError(`weights: expected a tensor ${name}, found none`);
    return tensor;
  }
}

const END = 2 ** 31;

/** Writes the decoder and answers with the name of its logits. */
export function writeDecoder(
  place: DecoderPlace,
  weights: Weights,
  config: LlamaConfig,
  options: DecoderOptions,
): string {
  const { graph, inputs } = place;
  const pieces = new Pieces(place, weights, config);
  const writeAttention = options.attention === "plain" ? plainAttention : groupedQueryAttention;
  const attend = writeAttention(graph, config, inputs, pieces.rotary());
  const embedding = pieces.weight("model.embed_tokens.weight");
  let hidden = graph.op("Gather", [embedding, inputs.ids], { attributes: { axis: 0 } });
  for (const [index, past] of place.past.entries()) {
    const layer = `model.layers.${index}`;
    const normed = pieces.norm(hidden, `${layer}.input_layernorm.weight`);
    const project = (which: string) => pieces.linear(normed, `${layer}.self_attn.${which}_proj.weight`);
    const heads = { query: project("q"), key: project("k"), value: project("v") };
    const mixed = attend(heads, past, place.present(index));
    hidden = graph.op("Add", [hidden, pieces.linear(mixed, `${layer}.self_attn.o_proj.weight`)]);
    const again = pieces.norm(hidden, `${layer}.post_attention_layernorm.weight`);
    hidden = graph.op("Add", [hidden, pieces.feedForward(again, layer)]);
  }
  if (options.logits === "last") {
    hidden = graph.op("Slice", [hidden, graph.int64([-1]), graph.int64([END]), graph.int64([1])]);
  }
  return pieces.logits(pieces.norm(hidden, "model.norm.weight"));
}
