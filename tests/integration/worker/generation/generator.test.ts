/** The generator over the small Llama: right answers, few runs of the model, the same in every shape of export. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { makeDocuments } from "../../../../scripts/models/documents/documents.ts";
import { exampleOf } from "../../../../scripts/models/llama/answers.ts";
import { exportLoop } from "../../../../scripts/models/llama/export-loop.ts";
import { exportDecoder } from "../../../../scripts/models/llama/export.ts";
import { listAnswers } from "../../../../src/contract/answer-list.ts";
import { parseAnswerSchema } from "../../../../src/contract/answer-schema.ts";
import { AnswerGrammar } from "../../../../src/worker/inference/generation/answer-grammar.ts";
import { AnswerRules } from "../../../../src/worker/inference/generation/answer-rules.ts";
import { decodeBatch } from "../../../../src/worker/inference/generation/decode.ts";
import type { GeneratedAnswer, Generator } from "../../../../src/worker/inference/generation/generator.ts";
import { GrammarConstraint } from "../../../../src/worker/inference/generation/grammar-constraint.ts";
import { TokenTrie } from "../../../../src/worker/inference/generation/token-trie.ts";
import { openOnnx } from "../../../support/onnx-session.ts";
import {
  generatorOf,
  llamaCodec,
  llamaConfig,
  llamaFolder,
  llamaSchema,
  llamaWeights,
  shapeOf,
} from "../../../support/small-llama.ts";

/** The seed of the held-out documents; the model was trained on others. */
const HELD_OUT_SEED = 12;
const model = join(llamaFolder, "model.onnx");

async function answersOf(generator: Generator, texts: readonly string[], batch: number): Promise<GeneratedAnswer[]> {
  const answers: GeneratedAnswer[] = [];
  for (let at = 0; at < texts.length; at += batch) {
    answers.push(...(await generator.answer(texts.slice(at, at + batch).map((text) => generator.promptOf(text)))));
  }
  return answers;
}

describe("generator", () => {
  test("the exact answer for 95 % at least of held-out files, as PyTorch has 96 %", async () => {
    const examples = makeDocuments(512, HELD_OUT_SEED).map(exampleOf);
    const generator = generatorOf(await openOnnx(model));
    const answers = await answersOf(
      generator,
      examples.map(({ text }) => text),
      16,
    );
    const exact = answers.filter(({ text }, at) => text === examples[at]?.answer).length;
    expect(exact / examples.length).toBeGreaterThanOrEqual(0.95);
    // The card says 495 of 512; another processor may round a close choice the other way.
    expect(Math.abs(exact - 495)).toBeLessThanOrEqual(2);
  });

  test("lists answers only as long as all of them are little text", () => {
    const methodOf = (text: string) => {
      const flags = Object.fromEntries(
        ["a", "b", "c", "d", "e", "f", "g", "h"].map((name) => [name, { type: "boolean" }]),
      );
      const properties = { text: { const: text }, ...flags };
      const required = Object.keys(properties);
      return new AnswerRules({ type: "object", properties, required, additionalProperties: false }, llamaCodec).method;
    };
    // 256 answers.
    expect(methodOf("x".repeat(10))).toBe("trie");
    expect(methodOf("x".repeat(20_000))).toBe("grammar");
  });

  const texts = makeDocuments(26, 77).map(({ text }) => text);

  test("forced tokens cost no run: 3 for a batch instead of one for each token", async () => {
    const session = await openOnnx(model);
    const generator = generatorOf(session);
    expect(generator.method).toBe("trie");
    const [first] = await answersOf(generator, texts.slice(0, 8), 8);
    expect(session.runs).toBe(3);
    const answers = listAnswers(parseAnswerSchema(llamaSchema), 5_000) ?? [];
    const trie = new TokenTrie(
      answers.map((answer) => llamaCodec.encode(answer)),
      llamaCodec.vocabulary.endToken,
    );
    const plain = await decodeBatch(
      texts.slice(0, 8).map((text) => generator.promptOf(text)),
      {
        session,
        shape: { ...shapeOf(llamaConfig), padToken: llamaCodec.padToken },
        constraint: trie,
        jumpsAhead: false,
      },
    );
    expect(plain.runs).toBeGreaterThan(10);
    expect(llamaCodec.decode(plain.answers[0]?.tokens ?? [])).toBe(first?.text);
  });

  test("the answers are the same whatever stands beside them in the batch", async () => {
    const generator = generatorOf(await openOnnx(model));
    const alone = await answersOf(generator, texts, 1);
    const together = await answersOf(generator, texts, 13);
    expect(together.map(({ text }) => text)).toEqual(alone.map(({ text }) => text));
    for (const [at, { confidence }] of together.entries())
      expect(confidence).toBeCloseTo(alone[at]?.confidence ?? 0, 4);
  });

  test.each([
    ["grouped-query", () => exportDecoder(llamaWeights(), llamaConfig, { attention: "grouped-query", logits: "all" })],
    ["loop", () => exportLoop(llamaWeights(), llamaConfig)],
  ] as const)("a %s export gives the same answers and confidences as the plain one", async (_, bytes) => {
    const expected = await answersOf(generatorOf(await openOnnx(model)), texts, 13);
    const found = await answersOf(generatorOf(await openOnnx(bytes())), texts, 13);
    expect(found.map(({ text }) => text)).toEqual(expected.map(({ text }) => text));
    for (const [at, { confidence }] of found.entries())
      expect(confidence).toBeCloseTo(expected[at]?.confidence ?? 0, 4);
  });

  test("a model that holds the whole loop is run once for a batch", async () => {
    const session = await openOnnx(exportLoop(llamaWeights(), llamaConfig));
    await answersOf(generatorOf(session), texts, 13);
    expect(session.runs).toBe(2);
  });

  test("the grammar of a listed schema leads to the same answers as its trie", async () => {
    const session = await openOnnx(model);
    const generator = generatorOf(session);
    const prompts = texts.slice(0, 13).map((text) => generator.promptOf(text));
    const constraint = new GrammarConstraint(new AnswerGrammar(parseAnswerSchema(llamaSchema)), llamaCodec.vocabulary);
    const shape = { ...shapeOf(llamaConfig), padToken: llamaCodec.padToken };
    const written = await decodeBatch(prompts, { session, shape, constraint });
    const byTrie = await generator.answer(prompts);
    expect(written.answers.map(({ tokens }) => llamaCodec.decode(tokens))).toEqual(byTrie.map(({ text }) => text));
  });

  test("a confidence is the probability among all answers: they add up to one", async () => {
    const session = await openOnnx(model);
    const prompt = generatorOf(session).promptOf(texts[0] ?? "");
    const kinds = ["javascript", "python", "sql"];
    const only = (values: readonly string[]) => ({ enum: [...values] });
    const [best] = await generatorOf(session, only(kinds)).answer([prompt]);
    expect(best?.confidence).toBeGreaterThan(1 / kinds.length);
    expect(best?.confidence).toBeLessThanOrEqual(1);
    const [alone] = await generatorOf(session, only(["sql"])).answer([prompt]);
    expect(alone).toMatchObject({ value: "sql", confidence: 1 });
  });

  test("a text that does not fit the model beside the longest answer is refused", async () => {
    const generator = generatorOf(await openOnnx(model), llamaSchema, { ...llamaConfig, max_position_embeddings: 100 });
    expect(() => generator.promptOf("x ".repeat(200))).toThrow(/tokens at most, so that the longest answer fits/);
  });

  test("a schema whose longest answer does not fit the model is refused", async () => {
    const session = await openOnnx(model);
    expect(() => generatorOf(session, { type: "string", maxLength: 600 })).toThrow(/answers of less than 2048 bytes/);
  });
});
