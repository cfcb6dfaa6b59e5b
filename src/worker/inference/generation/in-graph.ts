/**
 * Generation by a model that holds the whole loop: one run a batch, and the cache never leaves the device. Such a model
 * takes the trie of answers as tables. The same answers come out as from the loop outside, token by token.
 */
import type { DecodedBatch } from "./decode.ts";
import { LeftPadding } from "./padding.ts";
import { floatsOf, int64s, type GenerationSession } from "./session.ts";
import type { TokenTrie } from "./token-trie.ts";

export interface InGraphDecoding {
  readonly session: GenerationSession;
  readonly trie: TokenTrie;
  readonly endToken: number;
  readonly padToken: number;
}

/** Whether a model walks the trie by itself. */
export function isLoopModel({ inputNames }: GenerationSession): boolean {
  return inputNames.includes("child_token");
}

/** Decodes one batch in one run. */
export async function decodeInGraph(
  prompts: readonly (readonly number[])[],
  { session, trie, endToken, padToken }: InGraphDecoding,
): Promise<DecodedBatch> {
  const { states, width, childToken, childState, childBias, endState } = trie.tables();
  const dims = [states, width];
  const outputs = await session.run({
    ...new LeftPadding(prompts.length, padToken).feeds(prompts),
    // Each step enters another state of the trie, so there are never more steps than states.
    max_steps: int64s([states], []),
    child_token: int64s(childToken, dims),
    child_state: int64s(childState, dims),
    child_bias: { type: "float32", data: Float32Array.from(childBias), dims },
    end_state: int64s([endState], []),
  });
  const sequences = outputs["sequences"];
  if (sequences?.type !== "int64") throw new TypeError("model output sequences: expected int64, found another or none");
  const scores = floatsOf(outputs, "log_probability");
  const steps = sequences.dims[1] ?? 0;
  const answers = prompts.map((_, row) => {
    const tokens = Array.from(sequences.data.subarray(row * steps, (row + 1) * steps), Number);
    const end = tokens.indexOf(endToken);
    return { tokens: end < 0 ? tokens : tokens.slice(0, end), logProbability: scores[row] ?? Number.NaN };
  });
  return { answers, runs: 1 };
}
