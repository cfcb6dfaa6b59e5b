/** The shape of a Llama, as Hugging Face's `config.json` writes it (names and all). */
import { readFileSync } from "node:fs";
import { z } from "zod";

const llamaConfig = z.object({
  model_type: z.literal("llama"),
  vocab_size: z.int().positive(),
  hidden_size: z.int().positive(),
  intermediate_size: z.int().positive(),
  num_hidden_layers: z.int().positive(),
  num_attention_heads: z.int().positive(),
  num_key_value_heads: z.int().positive(),
  head_dim: z.int().positive(),
  max_position_embeddings: z.int().positive(),
  rms_norm_eps: z.number().positive(),
  rope_parameters: z.object({ rope_type: z.literal("default"), rope_theta: z.number().positive() }),
  tie_word_embeddings: z.literal(true),
  attention_bias: z.literal(false),
  mlp_bias: z.literal(false),
  hidden_act: z.literal("silu"),
});
export type LlamaConfig = Readonly<z.output<typeof llamaConfig>>;

/** Reads `config.json`. @throws for a model whose shape the exporter does not know */
export function loadLlamaConfig(path: string): LlamaConfig {
  return llamaConfig.parse(JSON.parse(readFileSync(path, "utf8")));
}
