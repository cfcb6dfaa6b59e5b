import { describe, expect, test } from "vitest";
import { generationFaults } from "../../../../../src/worker/inference/generation/generation-fit.ts";

const tensors = (type: string, ...names: string[]) => names.map((name) => ({ name, type, shape: [] }));
const past = tensors("float32", "past_key_values.0.key", "past_key_values.0.value");
const outputs = tensors("float32", "logits", "present.0.key", "present.0.value");
const ids = tensors("int64", "input_ids", "attention_mask");
const shape = { layers: 1, keyValueHeads: 2, headSize: 8, vocabularySize: 100 };

describe("fit of a model that generates", () => {
  test("plain and grouped-query exports have no fault", () => {
    const positions = tensors("int64", "position_ids");
    expect(generationFaults({ inputs: [...ids, ...positions, ...past], outputs }, shape)).toEqual([]);
    expect(generationFaults({ inputs: [...ids, ...past], outputs }, shape)).toEqual([]);
  });

  test("an input that nothing would feed, and one that is missing, are told", () => {
    const [first, second] = generationFaults(
      { inputs: [...tensors("int64", "input_ids", "other"), ...past], outputs },
      shape,
    );
    expect(first?.expected).toBe("an input attention_mask of int64");
    expect(first?.found).toContain("none (it has input_ids, other");
    expect(second).toMatchObject({ found: "other of int64" });
  });

  test("16-bit floats are told as what they are", () => {
    const half = tensors("float16", "logits", "present.0.key", "present.0.value");
    expect(generationFaults({ inputs: [...ids, ...past], outputs: half }, shape)).toContainEqual({
      where: "model.file",
      expected: "an output logits of float32",
      found: "one of float16",
    });
  });

  test("sizes that are not those of config.json are told", () => {
    const sized = [
      { name: "logits", type: "float32", shape: ["batch", "tokens", 99] },
      { name: "present.0.key", type: "float32", shape: ["batch", 2, "past", 8] },
      { name: "present.0.value", type: "float32", shape: ["batch", 4, "past", 8] },
    ];
    expect(generationFaults({ inputs: [...ids, ...past], outputs: sized }, shape)).toEqual([
      { where: "config.file", expected: "a vocab_size of 99, as logits of the model has", found: "100" },
      { where: "config.file", expected: "a num_key_value_heads of 4, as present.0.value of the model has", found: "2" },
    ]);
  });
});
