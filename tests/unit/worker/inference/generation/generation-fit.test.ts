import { describe, expect, test } from "vitest";
import { generationFaults } from "../../../../../src/worker/inference/generation/generation-fit.ts";

const tensors = (type: string, ...names: string[]) => names.map((name) => ({ name, type, shape: [] }));
const past = tensors("float32", "past_key_values.0.key", "past_key_values.0.value");
const outputs = tensors("float32", "logits", "present.0.key", "present.0.value");
const ids = tensors("int64", "input_ids", "attention_mask");

describe("fit of a model that generates", () => {
  test("plain and grouped-query exports have no fault", () => {
    const positions = tensors("int64", "position_ids");
    expect(generationFaults({ inputs: [...ids, ...positions, ...past], outputs }, 1)).toEqual([]);
    expect(generationFaults({ inputs: [...ids, ...past], outputs }, 1)).toEqual([]);
  });

  test("an input that nothing would feed, and one that is missing, are told", () => {
    const [first, second] = generationFaults(
      { inputs: [...tensors("int64", "input_ids", "other"), ...past], outputs },
      1,
    );
    expect(first?.expected).toBe("an input attention_mask of int64");
    expect(first?.found).toContain("none (it has input_ids, other");
    expect(second).toMatchObject({ found: "other of int64" });
  });

  test("16-bit floats are told as what they are", () => {
    const half = tensors("float16", "logits", "present.0.key", "present.0.value");
    expect(generationFaults({ inputs: [...ids, ...past], outputs: half }, 1)).toContainEqual({
      where: "model.file",
      expected: "an output logits of float32",
      found: "one of float16",
    });
  });
});
