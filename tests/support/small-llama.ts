/** The small Llama of models/extract-llama, and random ones of its kind, as tests use them. */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { loadLlamaConfig, type LlamaConfig } from "../../scripts/models/llama/config.ts";
import { loadSafetensors, type Weights } from "../../scripts/models/llama/safetensors.ts";
import type { JsonSchema } from "../../src/contract/json-schema.ts";
import { Generator } from "../../src/worker/inference/generation/generator.ts";
import { parsePromptTemplate } from "../../src/worker/inference/generation/prompt-template.ts";
import type { GenerationSession } from "../../src/worker/inference/generation/session.ts";
import { TextCodec } from "../../src/worker/inference/generation/text-codec.ts";

export const llamaFolder = resolve("models/extract-llama");
const read = (name: string) => readFileSync(join(llamaFolder, name), "utf8");

export const llamaConfig: LlamaConfig = loadLlamaConfig(join(llamaFolder, "config.json"));
/** Of its kind and vocabulary, and quick: for random weights. */
export const tinyLlamaConfig: LlamaConfig = {
  ...llamaConfig,
  hidden_size: 32,
  intermediate_size: 16,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 16,
};
export const llamaSchema = JSON.parse(read("schema.json")) as JsonSchema;
export const llamaCodec = new TextCodec(read("tokenizer.json"), read("tokenizer_config.json"));

export function llamaWeights(): Weights {
  return loadSafetensors(join(llamaFolder, "model.safetensors"));
}

export function shapeOf(config: LlamaConfig) {
  return {
    layers: config.num_hidden_layers,
    keyValueHeads: config.num_key_value_heads,
    headSize: config.head_dim,
    vocabularySize: config.vocab_size,
  };
}

/** A generator with the small Llama's files around any model of its vocabulary. */
export function generatorOf(
  session: GenerationSession,
  schema: JsonSchema = llamaSchema,
  config: LlamaConfig = llamaConfig,
): Generator {
  return new Generator({
    session,
    codec: llamaCodec,
    shape: shapeOf(config),
    prompt: parsePromptTemplate(read("prompt.yaml")),
    schema,
    contextTokens: config.max_position_embeddings,
  });
}
