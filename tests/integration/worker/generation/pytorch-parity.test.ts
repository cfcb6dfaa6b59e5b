/** The exported models say what PyTorch said with the same weights, in every shape of export. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { exportDecoder } from "../../../../scripts/models/llama/export.ts";
import type { Constraint } from "../../../../src/worker/inference/generation/constraint.ts";
import { END_STATE } from "../../../../src/worker/inference/generation/constraint.ts";
import { decodeBatch } from "../../../../src/worker/inference/generation/decode.ts";
import type { GenerationSession } from "../../../../src/worker/inference/generation/session.ts";
import { openOnnx } from "../../../support/onnx-session.ts";
import { llamaCodec, llamaConfig, llamaWeights, llamaFolder, shapeOf } from "../../../support/small-llama.ts";

interface Case {
  readonly prompt: readonly number[];
  readonly logits: string;
  readonly written: readonly number[];
}

const fixture = join(import.meta.dirname, "../../../fixtures/extract-llama-pytorch.json");
const { cases } = JSON.parse(readFileSync(fixture, "utf8")) as { cases: readonly Case[] };
const MOST_DIFFERENCE = 1e-4;
const { endToken } = llamaCodec.vocabulary;

/** Lets every token follow: what a model writes when nothing holds it. */
const free: Constraint = {
  start: 0,
  allowed: () => Int32Array.from({ length: llamaConfig.vocab_size }, (_, token) => token),
  next: (_, token) => (token === endToken ? END_STATE : 0),
};

function floatsOf(base64: string): Float32Array {
  const bytes = Uint8Array.from(Buffer.from(base64, "base64"));
  return new Float32Array(bytes.buffer);
}

const decoding = (session: GenerationSession) => ({
  session,
  shape: { ...shapeOf(llamaConfig), padToken: llamaCodec.padToken },
  constraint: free,
});

/** The logits behind each prompt, seen on their way through the loop. */
async function firstLogits(session: GenerationSession, prompt: readonly number[]): Promise<Float32Array> {
  const seen: Float32Array[] = [];
  const watching: GenerationSession = {
    ...session,
    run: async (feeds) => {
      const outputs = await session.run(feeds);
      if (outputs["logits"]?.type === "float32") seen.push(outputs["logits"].data);
      return outputs;
    },
  };
  const once: Constraint = { ...free, next: () => END_STATE };
  await decodeBatch([prompt], { ...decoding(watching), constraint: once });
  return (seen[0] ?? new Float32Array(0)).slice(-llamaConfig.vocab_size);
}

const exportsOf: readonly (readonly [string, () => Uint8Array])[] = [
  ["the committed model", () => readFileSync(join(llamaFolder, "model.onnx"))],
  ["a plain export", () => exportDecoder(llamaWeights(), llamaConfig, { attention: "plain", logits: "all" })],
  [
    "a grouped-query export",
    () => exportDecoder(llamaWeights(), llamaConfig, { attention: "grouped-query", logits: "all" }),
  ],
];

describe.each(exportsOf)("%s", (_, model) => {
  test("its logits are PyTorch's within 1e-4", async () => {
    const session = await openOnnx(model());
    for (const { prompt, logits } of cases) {
      const expected = floatsOf(logits);
      const found = await firstLogits(session, prompt);
      expect(found).toHaveLength(expected.length);
      const differences = found.map((logit, at) => Math.abs(logit - (expected[at] ?? Number.NaN)));
      expect(Math.max(...differences)).toBeLessThan(MOST_DIFFERENCE);
    }
  });

  test.each([1, 7])("it writes PyTorch's greedy tokens, %i prompts of unequal length at a time", async (batch) => {
    const session = await openOnnx(model());
    for (let at = 0; at < cases.length; at += batch) {
      const some = cases.slice(at, at + batch);
      const { answers } = await decodeBatch(
        some.map(({ prompt }) => prompt),
        decoding(session),
      );
      const expected = some.map(({ written }) => written.filter((token) => token !== endToken));
      expect(answers.map(({ tokens }) => tokens)).toEqual(expected);
    }
  });
});
