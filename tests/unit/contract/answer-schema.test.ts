import { describe, expect, test } from "vitest";
import { listAnswers, longestAnswerBytes } from "../../../src/contract/answer-list.ts";
import { parseAnswerSchema } from "../../../src/contract/answer-schema.ts";
import { FaultsError } from "../../../src/contract/errors.ts";
import type { JsonSchema } from "../../../src/contract/json-schema.ts";

const object = (properties: Record<string, JsonSchema>): JsonSchema => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});

function faultsOf(schema: JsonSchema): string[] {
  try {
    parseAnswerSchema(schema);
  } catch (error) {
    if (!(error instanceof FaultsError)) throw error;
    return error.faults.map(({ where, expected, found }) => `${where}: ${expected} / ${found}`);
  }
  return [];
}

describe("schemas of answers", () => {
  test("a bounded schema is read with its properties in their order", () => {
    const schema = object({
      kind: { enum: ["a", 1, null] },
      tags: { type: "array", items: { type: "string", maxLength: 8 }, maxItems: 2 },
      score: { type: "integer", minimum: -1, maximum: 10 },
      isOpen: { type: "boolean", description: "whether it is" },
    });
    expect(parseAnswerSchema(schema)).toEqual({
      kind: "object",
      properties: [
        ["kind", { kind: "literals", texts: ['"a"', "1", "null"] }],
        ["tags", { kind: "array", item: { kind: "text", minChars: 0, maxChars: 8 }, minItems: 0, maxItems: 2 }],
        ["score", { kind: "integer", minimum: -1, maximum: 10 }],
        ["isOpen", { kind: "literals", texts: ["true", "false"] }],
      ],
    });
  });

  test.each<[string, JsonSchema, RegExp]>([
    ["a number", object({ a: { type: "number" } }), /^schema \/properties\/a\/type: integer .*endless digits/],
    [
      "an integer without a maximum",
      object({ a: { type: "integer", minimum: 0 } }),
      /\/properties\/a\/maximum: .*endless/,
    ],
    ["a text without a longest length", object({ a: { type: "string" } }), /\/properties\/a\/maxLength: .*no end/],
    ["a pattern", object({ a: { type: "string", maxLength: 3, pattern: "x" } }), /\/a\/pattern: only type, minLength/],
    [
      "a list without a longest length",
      object({ a: { type: "array", items: { const: 1 } } }),
      /\/a\/maxItems: .*no end/,
    ],
    [
      "a first item of a list that may have none",
      { type: "array", prefixItems: [{ const: 1 }], items: { const: 2 }, maxItems: 3 },
      /\/minItems: 1 at least: so many items have a schema of their own \/ 0$/,
    ],
    [
      "a first item without an end",
      { type: "array", prefixItems: [{ type: "string" }], items: { const: 2 }, minItems: 1, maxItems: 3 },
      /\/prefixItems\/0\/maxLength: .*no end/,
    ],
    [
      "no first items",
      { type: "array", prefixItems: [], items: { const: 2 }, maxItems: 3 },
      /\/prefixItems: a list of one/,
    ],
    [
      "a name that is no property",
      { ...object({ a: { const: 1 } }), required: ["b"] },
      /\/required: names of properties/,
    ],
    [
      "names of properties that are no list",
      { ...object({ a: { const: 1 } }), required: "a" },
      /\/required: a list of names of properties.*"a"/,
    ],
    ["other properties", { type: "object", properties: {} }, /\/additionalProperties: false/],
    ["bounds the wrong way round", { type: "integer", minimum: 2, maximum: 1 }, /\/maximum: 2 at least.* \/ 1$/],
    ["no type", { title: "anything" }, /^schema \/type: object, array/],
    ["an empty list of values", { enum: [] }, /\/enum: a list of one value or more/],
    [
      "a definition that comes back to itself",
      {
        $ref: "#/$defs/tree",
        $defs: { tree: object({ next: { anyOf: [{ type: "null" }, { $ref: "#/$defs/tree" }] } }) },
      },
      /^schema \/\$defs\/tree\/properties\/next\/anyOf\/1\/\$ref: .*would have no end/,
    ],
  ])("%s is refused, with its place", (_, schema, expected) => {
    expect(faultsOf(schema).join("\n")).toMatch(expected);
  });

  test("properties that are not required may be left out, and the answers without them are listed too", () => {
    const shape = parseAnswerSchema({
      ...object({ a: { const: 1 }, b: { enum: [2, 3] }, c: { const: 4 } }),
      required: ["b"],
    });
    const texts = listAnswers(shape, 100) ?? [];
    expect(texts.toSorted()).toEqual(
      ['{"a":1,"b":2,"c":4}', '{"a":1,"b":2}', '{"a":1,"b":3,"c":4}', '{"a":1,"b":3}']
        .concat(['{"b":2,"c":4}', '{"b":2}', '{"b":3,"c":4}', '{"b":3}'])
        .toSorted(),
    );
    expect(listAnswers(shape, 7)).toBeUndefined();
    expect(longestAnswerBytes(shape)).toBeGreaterThanOrEqual('{"a":1,"b":2,"c":4}'.length);
  });

  test("the first items of a list are each of their own schema", () => {
    const shape = parseAnswerSchema({
      type: "array",
      prefixItems: [{ const: "run" }],
      items: { enum: [1, 2] },
      minItems: 1,
      maxItems: 2,
    });
    expect(listAnswers(shape, 100)).toEqual(['["run"]', '["run",1]', '["run",2]']);
  });

  test("every fault is told at once", () => {
    expect(faultsOf(object({ a: { type: "number" }, b: { type: "string" } }))).toHaveLength(2);
  });

  test("definitions that multiply are refused instead of being followed for ever", () => {
    const names = Array.from({ length: 14 }, (_, level) => `level${level}`);
    const $defs = Object.fromEntries(
      names.map((name, level) => {
        const next = names[level + 1];
        const used = next === undefined ? { type: "null" } : { $ref: `#/$defs/${next}` };
        return [name, object({ left: used, right: used })];
      }),
    );
    expect(faultsOf({ $ref: "#/$defs/level0", $defs })).toEqual([expect.stringMatching(/10000 fields at most/)]);
  });
});

describe("lists of answers", () => {
  const schema = object({
    kind: { enum: ["a", "b"] },
    flags: { type: "array", items: { type: "boolean" }, maxItems: 1 },
  });

  test("every answer of a finite schema is listed, as JSON.stringify writes it", () => {
    const answers = listAnswers(parseAnswerSchema(schema), 100);
    const flags = [[], [true], [false]];
    const expected = ["a", "b"].flatMap((kind) => flags.map((list) => JSON.stringify({ kind, flags: list })));
    expect(answers?.toSorted()).toEqual(expected.toSorted());
  });

  test("more answers than the limit are not listed", () => {
    expect(listAnswers(parseAnswerSchema(schema), 5)).toBeUndefined();
    expect(listAnswers(parseAnswerSchema({ type: "integer", minimum: 0, maximum: 1e9 }), 5_000)).toBeUndefined();
    expect(listAnswers(parseAnswerSchema(object({ a: { type: "string", maxLength: 1 } })), 5_000)).toBeUndefined();
  });

  test("no answer is longer than the longest", () => {
    const shape = parseAnswerSchema(schema);
    const lengths = (listAnswers(shape, 100) ?? []).map((answer) => Buffer.byteLength(answer));
    expect(Math.max(...lengths)).toBeLessThanOrEqual(longestAnswerBytes(shape));
    expect(longestAnswerBytes(parseAnswerSchema({ type: "string", maxLength: 2 }))).toBe(10);
  });
});
