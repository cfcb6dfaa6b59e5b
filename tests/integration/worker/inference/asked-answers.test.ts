/** Runs that bring a schema of their own, at one engine: each is answered by its own, and none by another's. */
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { makeDocuments } from "../../../../scripts/models/documents/documents.ts";
import { exportLoop } from "../../../../scripts/models/llama/export-loop.ts";
import type { AskedAnswer } from "../../../../src/contract/run-spec.ts";
import type { FileAnswer } from "../../../../src/worker/inference/engine-protocol.ts";
import { EngineFixture, labelOf } from "../../../support/engine-fixture.ts";
import { openOnnx } from "../../../support/onnx-session.ts";
import { generatorOf, llamaConfig, llamaWeights } from "../../../support/small-llama.ts";

const folder = resolve("models/extract-llama");

const object = (properties: Record<string, object>) => ({
  ...{ type: "object", properties, additionalProperties: false },
  required: Object.keys(properties),
});
const short = { schema: object({ mood: { enum: ["glad", "sad"] } }) } as AskedAnswer;
const long = {
  schema: object({ words: { type: "string", minLength: 30, maxLength: 40 }, score: { enum: [1, 2, 3] } }),
} as AskedAnswer;

function said(answer: FileAnswer | undefined): { value: unknown; tokens: { in: number; out: number } | undefined } {
  if (answer?.kind !== "answer" || answer.inference.value.task !== "generate") expect.fail(JSON.stringify(answer));
  return { value: answer.inference.value.answer, tokens: answer.inference.value.tokens };
}

describe("schemas that runs bring", () => {
  test("three runs at once on one engine, two with schemas of their own, do not mix", async () => {
    await using fixture = new EngineFixture(() => folder);
    const paths = makeDocuments(12, 5).map(({ text }, at) => {
      fixture.file(`f${at}`, text);
      return `f${at}`;
    });
    const asked = [short, undefined, long].map((answer) => fixture.ask(paths, undefined, answer));
    const [moods, kinds, words] = await Promise.all(asked);
    for (const path of paths) {
      expect(said(moods?.get(path)).value).toEqual({ mood: expect.stringMatching(/^(?:glad|sad)$/) as string });
      expect(said(kinds?.get(path)).value).toMatchObject({ kind: expect.any(String) as string });
      const { value, tokens } = said(words?.get(path));
      expect(value).toEqual({
        words: expect.stringMatching(/^[^]{30,40}$/) as string,
        score: expect.any(Number) as number,
      });
      expect(tokens?.in).toBeGreaterThan(10);
      expect(tokens?.out).toBeGreaterThan(5);
    }
    // A run by itself is answered as the one among others was.
    const alone = await fixture.ask(paths, undefined, long);
    expect(paths.map((path) => said(alone.get(path)).value)).toEqual(paths.map((path) => said(words?.get(path)).value));
  });

  test("an answer that is not whole in time fails its file alone, and says after how many tokens", async () => {
    await using fixture = new EngineFixture(() => folder);
    const paths = ["a", "b"];
    for (const path of paths) fixture.file(path, `SELECT ${path};`);
    const [cut, whole] = await Promise.all([
      fixture.ask(paths, undefined, { ...long, maxTokens: 6 }),
      fixture.ask(paths, undefined, short),
    ]);
    for (const path of paths) {
      expect(labelOf(cut.get(path))).toBe(
        "budget: expected an answer that is whole after 6 tokens at most, found one that was not: it was cut off",
      );
      said(whole.get(path));
    }
  });

  test("a schema that is longer than the model sees is refused, unless its answers may be cut off", async () => {
    await using fixture = new EngineFixture(() => folder);
    const schema = object({ words: { anyOf: [{ const: "x" }, { type: "string", minLength: 600, maxLength: 900 }] } });
    const answer = { schema } as AskedAnswer;
    fixture.file("a", "SELECT 1;");
    expect(labelOf((await fixture.ask(["a"], undefined, answer)).get("a"))).toMatch(
      /^policy: schema: expected answers of less than 2048 bytes: .* found up to \d+ bytes/,
    );
    const bounded = await fixture.ask(["a"], undefined, { ...answer, maxTokens: 1_000 });
    const { value } = said(bounded.get("a"));
    expect(value).toEqual({ words: expect.any(String) as string });
  });

  test("a schema without an end is refused where it came through all the same, and the engine goes on", async () => {
    await using fixture = new EngineFixture(() => folder);
    fixture.file("a", "SELECT 1;");
    const answer = { schema: object({ words: { type: "string" } }) } as AskedAnswer;
    expect(labelOf((await fixture.ask(["a"], undefined, answer)).get("a"))).toMatch(
      /^policy: schema \/properties\/words\/maxLength/,
    );
    said((await fixture.ask(["a"])).get("a"));
    expect(fixture.restarts).toEqual([]);
  });
});

test("a model that holds the whole loop answers rows of several schemas, each by its own", async () => {
  const generator = generatorOf(await openOnnx(exportLoop(llamaWeights(), llamaConfig)));
  const plain = generatorOf(await openOnnx(resolve(folder, "model.onnx")));
  const rowsOf = (of: typeof generator) => {
    const wish = of.wishFor(short);
    return makeDocuments(6, 3).map(({ text }, at) => {
      const own = at % 2 === 0 ? wish : of.own;
      return { tokens: of.promptOf(text, own), wish: own };
    });
  };
  const found = await generator.answerRows(rowsOf(generator));
  const expected = await plain.answerRows(rowsOf(plain));
  const valueOf = (answer: (typeof found)[number]) => ("value" in answer ? answer.value : answer);
  expect(found.map(valueOf)).toEqual(expected.map(valueOf));
  expect(valueOf(found[0] ?? { cutAfter: 0 })).toHaveProperty("mood");
  expect(() => generator.wishFor(long)).toThrow(/5000 answers at most/);
});
