/** What editors are told of durations and sizes is what is taken. */
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { bytes, milliseconds, seconds } from "../../../src/contract/config-units.ts";

const units = {
  seconds: seconds({ min: 0, max: 1e12 }),
  milliseconds: milliseconds({ min: 0 }),
  bytes: bytes({ min: 0 }),
};

function patternOf(schema: z.ZodType): RegExp {
  const { anyOf = [] } = z.toJSONSchema(schema, { io: "input" });
  const text = anyOf.find((one) => typeof one === "object" && one.type === "string");
  return new RegExp(String(text?.pattern), "u");
}

describe.each(Object.entries(units))("the pattern of %s", (_, schema) => {
  test.each([
    ...["5", "1.0", " 7 ", "5x", "", "-1s", "1e3", "s", "1h30m", "1 h 30 m", "1 0s", "10ms ", "90S", "1.s", "30s5"],
    ...["512MiB", "64k", "2 GB", "1gIb", "5 b", "5bb", "k", "1k1k", "2m", "2M", "1,5GB", "4d", "1d2h3m4s5ms"],
  ])("takes %j as parsing does", (text) => {
    expect(patternOf(schema).test(text)).toBe(schema.safeParse(text).success);
  });
});

test("numbers have the bounds of their setting", () => {
  const schema = z.toJSONSchema(seconds({ min: 0.001, max: 60 }), { io: "input" });
  expect(schema.anyOf?.[0]).toMatchObject({ type: "number", minimum: 0.001, maximum: 60 });
});
