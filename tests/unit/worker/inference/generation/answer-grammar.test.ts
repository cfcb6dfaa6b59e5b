import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseAnswerSchema } from "../../../../../src/contract/answer-schema.ts";
import type { JsonSchema } from "../../../../../src/contract/json-schema.ts";
import { AnswerGrammar, DEAD } from "../../../../../src/worker/inference/generation/answer-grammar.ts";

function accepts(schema: JsonSchema, answer: string | Uint8Array): boolean {
  const grammar = new AnswerGrammar(parseAnswerSchema(schema));
  let state = grammar.start;
  for (const byte of Buffer.from(answer)) {
    state = grammar.step(state, byte);
    if (state === DEAD) return false;
  }
  return grammar.isWhole(state);
}

describe("grammar of answers", () => {
  test("an integer is accepted exactly when it lies within the bounds", () => {
    const bound = fc.integer({ min: -2_000, max: 2_000 });
    fc.assert(
      fc.property(bound, bound, fc.integer({ min: -2_500, max: 2_500 }), (one, two, value) => {
        const [minimum, maximum] = [Math.min(one, two), Math.max(one, two)];
        const schema = { type: "integer", minimum, maximum };
        expect(accepts(schema, String(value))).toBe(value >= minimum && value <= maximum);
      }),
      { numRuns: 2_000 },
    );
  });

  test("an integer has one way to be written", () => {
    const schema = { type: "integer", minimum: -10, maximum: 10 };
    for (const text of ["-0", "01", "+1", "1.0", "1e0", "", "-"]) expect(accepts(schema, text)).toBe(false);
  });

  test("a text is accepted exactly when its characters are no more than allowed", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 8 }), fc.integer({ min: 0, max: 8 }), (text, maxLength) => {
        const written = JSON.stringify(text);
        // What has no short escape is not written at all.
        fc.pre(!written.includes("\\u"));
        expect(accepts({ type: "string", maxLength }, written)).toBe(Array.from(text).length <= maxLength);
      }),
      { numRuns: 2_000 },
    );
  });

  test.each<[string, number[]]>([
    ["an overlong form", [0xc0, 0xaf]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
    ["a character past the last", [0xf4, 0x90, 0x80, 0x80]],
    ["half a character", [0xe2, 0x82]],
    ["a control character", [0x0a]],
  ])("a text with %s is refused", (_, bytes) => {
    expect(accepts({ type: "string", maxLength: 4 }, Uint8Array.from([0x22, ...bytes, 0x22]))).toBe(false);
  });

  test("a list has as many items as it may, between commas", () => {
    const schema = { type: "array", items: { enum: [1, 22] }, minItems: 1, maxItems: 2 };
    for (const text of ["[1]", "[22]", "[1,22]"]) expect(accepts(schema, text)).toBe(true);
    for (const text of ["[]", "[1,1,1]", "[1,]", "[,1]", "[2]", "[1 ]"]) expect(accepts(schema, text)).toBe(false);
  });

  test("an object has its properties in their order, and no white space", () => {
    const schema = {
      type: "object",
      properties: { a: { anyOf: [{ type: "null" }, { type: "boolean" }] }, b: { const: { deep: ["x"] } } },
      required: ["a", "b"],
      additionalProperties: false,
    };
    expect(accepts(schema, '{"a":null,"b":{"deep":["x"]}}')).toBe(true);
    for (const text of ['{"b":{"deep":["x"]},"a":null}', '{"a":null}', '{ "a":null,"b":{"deep":["x"]}}']) {
      expect(accepts(schema, text)).toBe(false);
    }
  });

  test("an object may leave out what is not required, with commas where they belong", () => {
    const schema = {
      type: "object",
      properties: { a: { const: 1 }, b: { const: 2 }, c: { type: "string", maxLength: 2 } },
      required: ["b"],
      additionalProperties: false,
    };
    for (const text of ['{"b":2}', '{"a":1,"b":2}', '{"b":2,"c":"x"}', '{"a":1,"b":2,"c":""}']) {
      expect(accepts(schema, text)).toBe(true);
    }
    for (const text of ["{}", '{"a":1}', '{,"b":2}', '{"b":2,}', '{"b":2"c":""}', '{"b":2,"a":1}']) {
      expect(accepts(schema, text)).toBe(false);
    }
    const none = { ...schema, required: [] };
    for (const text of ["{}", '{"a":1}', '{"c":"x"}', '{"a":1,"c":"x"}']) expect(accepts(none, text)).toBe(true);
    for (const text of ["{,}", '{,"c":"x"}', '{"a":1"c":"x"}']) expect(accepts(none, text)).toBe(false);
  });

  test("the first items of a list are of their own schemas, the others of theirs", () => {
    const prefixItems = [{ const: "wc" }, { type: "boolean" }];
    const schema = { type: "array", prefixItems, items: { enum: [1] }, minItems: 2, maxItems: 4 };
    for (const text of ['["wc",true]', '["wc",false,1]', '["wc",true,1,1]']) expect(accepts(schema, text)).toBe(true);
    for (const text of ["[]", '["wc"]', "[1,true]", '["wc",1]', '["wc",true,1,1,1]', '["wc",true,]']) {
      expect(accepts(schema, text)).toBe(false);
    }
  });

  test("equal rests are one state, so the automaton of a long text is no larger than its counts", () => {
    const grammar = new AnswerGrammar(parseAnswerSchema({ type: "string", maxLength: 3 }));
    const after = (text: string) =>
      [...Buffer.from(text)].reduce((state, byte) => grammar.step(state, byte), grammar.start);
    expect(after('"ab')).toBe(after('"é\\n'));
    expect(after('"abc')).not.toBe(after('"ab'));
  });
});
