/** models/extract-llama is what its script makes of the weights, and the engine runs it by its manifest. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { hash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { makeDocuments } from "../../../scripts/models/documents/documents.ts";
import { exampleOf } from "../../../scripts/models/llama/answers.ts";
import { exportDecoder } from "../../../scripts/models/llama/export.ts";
import { pinFiles } from "../../../scripts/models/pin.ts";
import { loadModel } from "../../../src/platform/models/model-folder.ts";
import { EngineFixture, labelOf } from "../../support/engine-fixture.ts";
import type { Scratch } from "../../support/scratch.ts";
import { llamaConfig, llamaWeights } from "../../support/small-llama.ts";

const folder = resolve("models/extract-llama");

/** A copy of the folder in which one text of a file is another; pinned anew. */
const changed = (file: string, from: string | RegExp, to: string) => (scratch: Scratch) => {
  const copy = join(scratch.path, "model");
  cpSync(folder, copy, { recursive: true });
  const before = readFileSync(join(copy, file), "utf8");
  expect(before).toMatch(from);
  writeFileSync(join(copy, file), before.replace(from, to));
  pinFiles(copy);
  return copy;
};

describe("models/extract-llama", () => {
  test("the exporter makes the committed file of the weights, to the byte", () => {
    const made = exportDecoder(llamaWeights(), llamaConfig, { attention: "plain", logits: "last" });
    expect(hash("sha256", made, "hex")).toBe(hash("sha256", readFileSync(join(folder, "model.onnx")), "hex"));
  });

  test("its folder is whole: every pinned file has its digest", async () => {
    await expect(loadModel(folder)).resolves.toMatchObject({ manifest: { task: "generate", name: "extract-llama" } });
  });

  test("the engine answers each file with JSON; what is no text fails alone", async () => {
    await using fixture = new EngineFixture(() => folder);
    const examples = makeDocuments(20, 12).map(exampleOf);
    for (const [at, { text }] of examples.entries()) fixture.file(`f${at}`, text);
    fixture.file("binary", Buffer.from([0xff, 0xfe, 0x00])).file("empty", "");
    const answers = await fixture.ask();
    let exact = 0;
    for (const [at, { answer: expected }] of examples.entries()) {
      const answer = answers.get(`f${at}`);
      if (answer?.kind !== "answer") expect.fail(JSON.stringify(answer));
      const { label, confidence, value } = answer.inference;
      if (value.task !== "generate") expect.fail(value.task);
      expect(label).toBe((value.answer as { kind: string }).kind);
      expect(confidence).toBeGreaterThan(0);
      expect(confidence).toBeLessThanOrEqual(1);
      if (JSON.stringify(value.answer) === expected) exact++;
    }
    expect(exact).toBeGreaterThanOrEqual(17);
    expect(labelOf(answers.get("binary"))).toBe("bad-input: expected a text in UTF-8, found bytes that are not UTF-8");
    expect(labelOf(answers.get("empty"))).toBe("bad-input: expected a file that is not empty, found 0 bytes");
    expect(fixture.engine.facts.loaded).toMatchObject({ provider: "cpu", mostRows: 8, warmRows: 8 });
  });

  test("another schema is held to as well, with a text and a number", async () => {
    const schema = JSON.stringify({
      type: "object",
      properties: { words: { type: "string", maxLength: 5 }, score: { type: "integer", minimum: 3, maximum: 7 } },
      required: ["words", "score"],
      additionalProperties: false,
    });
    await using fixture = new EngineFixture((scratch) => {
      const copy = changed("schema.json", /[^]+/, schema.replaceAll("$", "$$$$"))(scratch);
      writeFileSync(
        join(copy, "model.yaml"),
        readFileSync(join(copy, "model.yaml"), "utf8").replace(/label: kind/, "label: score"),
      );
      return copy;
    });
    const answers = await fixture.file("a", "SELECT 1;").file("b", "# Title").ask();
    for (const answer of answers.values()) {
      if (answer.kind !== "answer" || answer.inference.value.task !== "generate") expect.fail(JSON.stringify(answer));
      const { words, score } = answer.inference.value.answer as { words: string; score: number };
      expect(Array.from(words).length).toBeLessThanOrEqual(5);
      expect([3, 4, 5, 6, 7]).toContain(score);
      expect(answer.inference.label).toBe(String(score));
    }
  });

  test.each<[string, Parameters<typeof changed>, RegExp]>([
    [
      "a schema that is not bounded",
      ["schema.json", '"enum": ["few", "many"]', '"type": "string"'],
      /schema \/properties\/lines\/maxLength: .*without it an answer may have no end/,
    ],
    ["a prompt without the place of the file", ["prompt.yaml", '"{text}"', '"text"'], /user: .*\{text\} once/],
    [
      "a shape that is not the model's",
      ["config.json", '"num_hidden_layers": 3', '"num_hidden_layers": 4'],
      /past_key_values\.3\.key/,
    ],
    [
      "a tokenizer with more words than the model has",
      ["tokenizer.json", /"id": 0,/, '"id": 1536,'],
      /input\.tokenizer\.file: expected the tokenizer of this model, found one with the token 1536, which the model does not take: config\.json has a vocab_size of 1536/,
    ],
    [
      "a number of words that is not the model's",
      ["config.json", '"vocab_size": 1536', '"vocab_size": 1600'],
      /vocab_size.*1536|1536.*vocab_size/,
    ],
    ["a tokenizer without a chat template", ["tokenizer_config.json", '"chat_template"', '"other"'], /chat_template/],
    [
      "a schema that is no JSON",
      ["schema.json", "{", ""],
      /output\.schema\.file: expected a file of JSON with a mapping/,
    ],
  ])("%s is refused before the first file, with the reason", async (_, change, expected) => {
    await using fixture = new EngineFixture(changed(...change));
    await expect(fixture.file("a", "text").ask()).rejects.toThrow(expected);
  });
});
