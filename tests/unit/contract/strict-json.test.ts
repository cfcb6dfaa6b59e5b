import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { placeOf, readJson, readWholeJson } from "../../../src/contract/strict-json.ts";

describe("strict JSON", () => {
  test("reads what JSON.parse reads, whatever the value", () => {
    const texts = fc.json({ maxDepth: 6 }).filter((text) => !text.includes("__proto__") && safeNumbers(text));
    fc.assert(
      fc.property(texts, (text) => {
        expect(readWholeJson(text)).toMatchObject({ kind: "value", value: JSON.parse(text) as unknown });
      }),
    );
  });

  test("never throws and ends, whatever the text", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary" }),
        fc.array(fc.constantFrom(...Array.from('{}[]",:0-e\\u tfn'))),
        (text, marks) => {
          expect(["value", "fault"]).toContain(readWholeJson(text + marks.join("")).kind);
        },
      ),
    );
  });

  test.each([
    ['{"a":1,"a":2}', 7, "each key once"],
    ['{"\\u0061":1,"a":2}', 12, "each key once"],
    ['{"a":1,}', 7, "a key in double quotes"],
    ["[1,]", 3, "a value"],
    ["[1 2]", 3, '"," or "]"'],
    ["{'a':1}", 1, "a key in double quotes"],
    ['{"a":1 // one\n}', 7, '"," or "}"'],
    ['{"a" 1}', 5, '":"'],
    ['{"__proto__":{}}', 1, "another key than __proto__"],
    ["1e999", 0, "a number that keeps its value"],
    ["9007199254740993", 0, "a number that keeps its value"],
    ["01", 1, "nothing behind the value"],
    ["NaN", 0, "a value"],
    ['"\\ud800"', 0, "whole characters in a text"],
    ['"\\x41"', 0, "known escapes in a text"],
    ['"a\nb"', 2, "no control characters in a text"],
    ['"abc', 4, 'a closing "'],
    ["{} {}", 3, "nothing behind the value"],
    ["", 0, "a value"],
  ])("refuses %s at %i", (text, at, expected) => {
    expect(readWholeJson(text)).toMatchObject({ kind: "fault", at, expected });
  });

  test("refuses a depth that would cost the stack", () => {
    expect(readJson("[".repeat(1_000_000))).toMatchObject({ kind: "fault", expected: "a depth of 64 at most" });
    expect(readJson('{"a":'.repeat(100_000))).toMatchObject({ kind: "fault", expected: "a depth of 64 at most" });
    expect(readJson(`${"[".repeat(64)}${"]".repeat(64)}`).kind).toBe("value");
  });

  test("tells line and column as an editor does", () => {
    expect(placeOf("ab\ncd", 0)).toEqual({ line: 1, column: 1 });
    expect(placeOf("ab\ncd", 2)).toEqual({ line: 1, column: 3 });
    expect(placeOf("ab\ncd", 4)).toEqual({ line: 2, column: 2 });
  });
});

function safeNumbers(text: string): boolean {
  return [...text.matchAll(/-?\d+(?:\.\d+)?(?:e[+-]?\d+)?/gi)].every(([number]) => {
    const value = Number(number);
    return Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value));
  });
}
