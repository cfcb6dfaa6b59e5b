/** `config.json` of Hugging Face, as far as a decoder's cache and context follow from it. */
import { z } from "zod";
import { InvalidInputError } from "../../../contract/errors.ts";
import { schemaFaults } from "../../../contract/schema-faults.ts";
import type { DecoderShape } from "./decode.ts";

const size = z.int().min(1);
const decoderConfig = z
  .looseObject({
    vocab_size: size,
    num_hidden_layers: size,
    num_attention_heads: size,
    num_key_value_heads: size.optional(),
    hidden_size: size,
    head_dim: size.optional(),
    max_position_embeddings: size,
  })
  .transform((config) => ({
    shape: {
      layers: config.num_hidden_layers,
      keyValueHeads: config.num_key_value_heads ?? config.num_attention_heads,
      headSize: config.head_dim ?? Math.floor(config.hidden_size / config.num_attention_heads),
      vocabularySize: config.vocab_size,
    },
    /** Tokens that the model can see at a time. */
    contextTokens: config.max_position_embeddings,
  }));

export interface DecoderConfig {
  readonly shape: Omit<DecoderShape, "padToken">;
  readonly contextTokens: number;
}

/** @throws {InvalidInputError} with every fault */
export function parseDecoderConfig(raw: unknown): DecoderConfig {
  const parsed = decoderConfig.safeParse(raw);
  if (parsed.success) return parsed.data;
  throw new InvalidInputError(
    "config.json",
    schemaFaults(parsed.error.issues, raw, () => []),
  );
}
