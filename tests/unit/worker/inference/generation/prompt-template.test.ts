import { describe, expect, test } from "vitest";
import { messagesFor, parsePromptTemplate } from "../../../../../src/worker/inference/generation/prompt-template.ts";

const lines = (...text: string[]) => text.join("\n");
const template = parsePromptTemplate(
  lines(
    "version: 1",
    "system: Be short.",
    'user: "File: {text}"',
    "max_chars: 4",
    "examples:",
    "  - text: one two",
    "    answer: { kind: a }",
  ),
);

describe("prompt template", () => {
  test("a conversation is the system text, the examples and the file, cut to what is shown", () => {
    expect(messagesFor(template, "$& and more")).toEqual([
      { role: "system", content: "Be short." },
      { role: "user", content: "File: one " },
      { role: "assistant", content: '{"kind":"a"}' },
      { role: "user", content: "File: $& a" },
    ]);
  });

  test("a character is never cut in two", () => {
    expect(messagesFor(template, "abc\u{1f600}").at(-1)?.content).toBe("File: abc");
  });

  test("a template without the place of the file is refused", () => {
    expect(() => parsePromptTemplate(lines("version: 1", "user: no place", "max_chars: 4"))).toThrow(/\{text\} once/);
  });

  test("an unknown key is refused", () => {
    const text = lines("version: 1", 'user: "{text}"', "max_chars: 4", "temperature: 1");
    expect(() => parsePromptTemplate(text)).toThrow(/temperature/);
  });
});
