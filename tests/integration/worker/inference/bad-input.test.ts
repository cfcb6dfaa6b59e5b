/** What models and files that cannot be used get, word for word: docs/failures.md has the same list. */
import { describe, expect, test } from "vitest";
import { EngineFixture, labelOf } from "../../../support/engine-fixture.ts";
import type { Scratch } from "../../../support/scratch.ts";
import { textModel as textFolder, wordTokenizer } from "../../../support/text-onnx.ts";
import { modelFolder, pickyManifest, pickyModel, tinyOnnx } from "../../../support/tiny-onnx.ts";

const zeros = "0".repeat(64);
const one = { inputs: [["x", "float32", ["batch", 1]]], outputs: [["y", "float32", ["batch", 1]]] } as const;
const regress = {
  task: "regress",
  input: { kind: "bytes", tensor: "x", windows: [{ at: "head", length: 1 }] },
  output: { tensor: "y" },
};
const picky = (change: object) => (scratch: Scratch) =>
  modelFolder(scratch, "model", pickyModel(), { ...pickyManifest, ...change });

const words = wordTokenizer;
const textModel =
  (tokenizer: string, input: object = {}) =>
  (scratch: Scratch) =>
    textFolder(scratch, tokenizer, input);
const own = words({ "[UNK]": 0, one: 1, two: 2 });

describe("model", () => {
  test.each<[string, (scratch: Scratch) => string, RegExp]>([
    [
      "whose folder has no manifest",
      (scratch) => scratch.folder("model"),
      /\/model\.yaml: expected a manifest that can be read, found none$/,
    ],
    [
      "whose manifest has faults, all at once",
      picky({ task: "classify", batch: { max_rows: 0 }, output: { tensor: "y", topp: 1 } }),
      /output \(model\.yaml:\d+\)?.*topp[\s\S]*batch\.max_rows|batch\.max_rows[\s\S]*topp/,
    ],
    [
      "whose file is not there",
      picky({ model: { file: "gone.onnx", sha256: zeros } }),
      /model\.file: expected a file at .*\/gone\.onnx that can be read, found nothing$/,
    ],
    [
      "whose file is another one than the pinned",
      picky({ model: { file: "model.onnx", sha256: zeros } }),
      /model\.sha256: expected .*\/model\.onnx with this digest: 0{64}, found [0-9a-f]{64} \(\d+ bytes\)$/,
    ],
    [
      "whose file is cut off",
      (scratch) => modelFolder(scratch, "model", pickyModel().subarray(0, 60), pickyManifest),
      /model\.file: expected a model that cpu can run, found .*Protobuf parsing failed/,
    ],
    [
      "whose weights are not there",
      (scratch) =>
        modelFolder(
          scratch,
          "model",
          tinyOnnx({
            ...one,
            constants: [{ name: "w", dims: [1], data: Float32Array.from([2]), external: "weights.bin" }],
            nodes: [{ op: "Mul", in: ["x", "w"], out: "y" }],
          }),
          regress,
        ),
      /model\.file: expected a model that cpu can run, found .*weights\.bin/,
    ],
    [
      "with an operator that the runtime does not have",
      (scratch) =>
        modelFolder(
          scratch,
          "model",
          tinyOnnx({ ...one, nodes: [{ op: "Frobnicate", in: ["x"], out: "y" }] }),
          regress,
        ),
      /model\.file: expected a model that cpu can run, found .*Frobnicate/,
    ],
    [
      "with another name of its input",
      picky({ input: { ...pickyManifest.input, tensor: "pixels" } }),
      /input\.tensor: expected one of the inputs of the model \(bytes\), found "pixels"/,
    ],
    [
      "with another size of its input",
      picky({ input: { ...pickyManifest.input, windows: [{ at: "head", length: 4 }] } }),
      /input\.tensor: expected 1 values for each file, as the input bytes has, found 4$/,
    ],
    [
      "with another number of labels than it has values",
      picky({ labels: ["one", "two", "three"] }),
      /labels: expected 2 of them, as the output y has values for each file, found 3$/,
    ],
    [
      "with the tokenizer of another model",
      textModel(words({ "[UNK]": 0, one: 1, two: 2, three: 3 })),
      /input\.tokenizer\.file: expected the tokenizer of this model, found one with the token 3, which the model does not take: .*Gather/,
    ],
    [
      "with a tokenizer that is none",
      textModel("[1, 2"),
      /input\.tokenizer\.file: expected a file of JSON with a mapping, found /,
    ],
    [
      "with JSON for a tokenizer that is another thing",
      textModel("{}"),
      /input\.tokenizer\.file: expected a tokenizer\.json of Hugging Face, found another: Tokenizer must contain/,
    ],
    [
      "for a provider that is not there",
      picky({ providers: ["cuda"] }),
      /model\.file: expected a model that cuda can run, found .*Failed to load shared library/i,
    ],
  ])("%s is refused before a file is looked at", async (_name, make, message) => {
    await using fixture = new EngineFixture(make);
    await expect(fixture.engine.ready()).rejects.toThrow(message);
  });
});

describe("file", () => {
  test("that is empty, no text, too long or without a word fails alone", async () => {
    await using fixture = new EngineFixture(textModel(own, { max_tokens: 3, max_bytes: 40, too_long: "fail" }));
    fixture
      .file("good", "one two")
      .file("empty", "")
      .file("blank", " \n")
      .file("binary", Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0xff, 0xfe]))
      .file("tokens", "one two one two")
      .file("bytes", "two ".repeat(20));
    const answers = await fixture.ask();
    expect(answers.get("good")?.kind).toBe("answer");
    expect(Object.fromEntries([...answers].map(([path, answer]) => [path, labelOf(answer)]))).toMatchObject({
      empty: "bad-input: expected a file that is not empty, found 0 bytes",
      blank: "bad-input: expected a text with a token at least, found none",
      binary: "bad-input: expected a text in UTF-8, found bytes that are not UTF-8",
      tokens: "bad-input: expected at most 3 tokens, found 4",
      bytes: "bad-input: expected a file of at most 40 bytes, found 80",
    });
  });

  test("that is too long is cut where the manifest says so", async () => {
    await using fixture = new EngineFixture(textModel(own, { max_tokens: 3, max_bytes: 40 }));
    const answers = await fixture.file("long", "two ".repeat(20)).ask();
    expect(answers.get("long")?.kind).toBe("answer");
  });

  test("that is no JSON, or lacks a number, fails alone", async () => {
    const model = tinyOnnx({ ...one, nodes: [{ op: "Identity", in: ["x"], out: "y" }] });
    await using fixture = new EngineFixture((scratch) =>
      modelFolder(scratch, "model", model, {
        ...regress,
        input: { kind: "json", tensors: [{ tensor: "x", fields: [{ path: "a.b" }] }] },
      }),
    );
    fixture
      .file("good", '{"a": {"b": 1}}')
      .file("cut", '{"a": ')
      .file("lacks", '{"a": {}}')
      .file("word", '{"a": {"b": "x"}}');
    const answers = await fixture.ask();
    expect(answers.get("good")?.kind).toBe("answer");
    expect(labelOf(answers.get("cut"))).toMatch(/^bad-input: expected a file of JSON, found /);
    expect(labelOf(answers.get("lacks"))).toBe("bad-input: a.b: expected a number, found nothing");
    expect(labelOf(answers.get("word"))).toBe('bad-input: a.b: expected a number, found "x"');
  });
});
