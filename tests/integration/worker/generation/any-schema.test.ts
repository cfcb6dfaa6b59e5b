/** Whatever a model says, and whatever bounded schema it is held to: every answer is valid. */
import Ajv from "ajv";
import fc from "fast-check";
import { expect, test } from "vitest";
import { exportDecoder } from "../../../../scripts/models/llama/export.ts";
import { randomWeights } from "../../../../scripts/models/llama/safetensors.ts";
import type { JsonSchema } from "../../../../src/contract/json-schema.ts";
import { openOnnx } from "../../../support/onnx-session.ts";
import { seeded } from "../../../support/seeded.ts";
import { generatorOf, tinyLlamaConfig } from "../../../support/small-llama.ts";

/** As the draft that Ajv knows wrote lists whose first items have schemas of their own. */
function olderDraft(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(olderDraft);
  if (typeof schema !== "object" || schema === null || "enum" in schema) return schema;
  const each = Object.entries(schema).map(([key, value]) => [key, olderDraft(value)] as const);
  const { prefixItems, items, ...rest } = Object.fromEntries(each);
  if (prefixItems === undefined) return items === undefined ? rest : { ...rest, items };
  return { ...rest, items: prefixItems, additionalItems: items };
}

const word = fc.string({ unit: "grapheme", minLength: 1, maxLength: 6 });
const pair = fc.tuple(fc.nat({ max: 3 }), fc.nat({ max: 6 }));

const schemas = fc.letrec<{ any: JsonSchema }>((tie) => ({
  any: fc.oneof(
    { depthSize: "small", maxDepth: 2 },
    fc.record({
      enum: fc.array(fc.oneof(word, fc.integer(), fc.boolean(), fc.constant(null)), { minLength: 1, maxLength: 4 }),
    }),
    fc.constant({ type: "boolean" }),
    pair.map(([min, more]): JsonSchema => ({ type: "string", minLength: min, maxLength: min + more })),
    fc
      .tuple(fc.integer({ min: -1_000, max: 1_000 }), fc.nat({ max: 20_000 }))
      .map(([minimum, more]): JsonSchema => ({ type: "integer", minimum, maximum: minimum + more })),
    fc
      .tuple(tie("any"), fc.nat({ max: 1 }), fc.nat({ max: 2 }))
      .map(([items, min, more]): JsonSchema => ({ type: "array", items, minItems: min, maxItems: min + more })),
    fc
      .tuple(fc.array(tie("any"), { minLength: 1, maxLength: 2 }), tie("any"), fc.nat({ max: 2 }))
      .map(([prefixItems, items, more]): JsonSchema => {
        const minItems = prefixItems.length;
        return { type: "array", prefixItems, items, minItems, maxItems: minItems + more };
      }),
    fc.array(tie("any"), { minLength: 1, maxLength: 3 }).map((anyOf): JsonSchema => ({ anyOf })),
    fc
      .tuple(fc.dictionary(word, tie("any"), { minKeys: 1, maxKeys: 3 }), fc.nat({ max: 3 }))
      .map(([properties, optional]): JsonSchema => {
        const required = Object.keys(properties).slice(optional);
        return { type: "object", properties, required, additionalProperties: false };
      }),
  ),
})).any;

test("1,000 answers of models with random weights over random schemas are all valid", async () => {
  const texts = ["", "one", "two words", "a much longer text of a file\nwith lines\n", "{}"];
  let answered = 0;
  let grammars = 0;
  for (const seed of [1, 2, 3, 4]) {
    const weights = randomWeights(tinyLlamaConfig, seeded(seed));
    const attention = seed % 2 === 0 ? "plain" : "grouped-query";
    const session = await openOnnx(exportDecoder(weights, tinyLlamaConfig, { attention, logits: "all" }));
    for (const schema of fc.sample(schemas, { seed, numRuns: 50 })) {
      const validate = new Ajv({ validateSchema: false }).compile(olderDraft(schema) as JsonSchema);
      const generator = generatorOf(session, schema, tinyLlamaConfig);
      if (generator.method === "grammar") grammars++;
      const answers = await generator.answer(texts.map((text) => generator.promptOf(text)));
      for (const { text, confidence } of answers) {
        expect(validate(JSON.parse(text)), `${text} against ${JSON.stringify(schema)}`).toBe(true);
        expect(confidence).toBeGreaterThanOrEqual(0);
        expect(confidence).toBeLessThanOrEqual(1 + 1e-6);
        answered++;
      }
    }
  }
  expect(answered).toBe(1_000);
  expect(grammars).toBeGreaterThan(40);
});
