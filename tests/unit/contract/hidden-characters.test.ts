import { expect, test } from "vitest";
import { hiddenCharacterFaults } from "../../../src/contract/hidden-characters.ts";

test.each([
  ["a mark of direction", "\u202e"],
  ["a joiner of no width", "\u200d"],
  ["a space of no width", "\u200b"],
  ["a byte order mark", "\ufeff"],
  ["a tag", "\u{e0041}"],
  ["an escape", "\u001b"],
  ["NUL", "\0"],
  ["a carriage return", "\r"],
  ["a soft hyphen", "\u00ad"],
  ["a joiner of graphemes", "\u034f"],
  ["a selector of variants", "\u180b"],
  ["a mark of shorthand", "\u{1bca0}"],
  ["a mark of music", "\u{1d173}"],
  ["a code that is kept for what is not seen", "\ufff0"],
  ["an empty pattern of Braille", "\u2800"],
])("finds %s in a text and in a key, with its place", (_name, character) => {
  const code = `U+${character.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0") ?? ""}`;
  expect(hiddenCharacterFaults({ nodes: [{ command: ["/bin/x", `a${character}b`] }] })).toMatchObject([
    { where: "nodes[0].command[1]", found: code },
  ]);
  expect(hiddenCharacterFaults({ env: { [`A${character}`]: "b" } })).toMatchObject([{ where: "env", found: code }]);
});

test("lets through what can be seen, in any script", () => {
  expect(hiddenCharacterFaults(["line\nbreak\ttab", "Grüße", "日本語", "نص", "🙂", 1, true, null])).toEqual([]);
});
