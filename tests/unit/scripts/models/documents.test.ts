import { hash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { documentKinds, makeDocuments } from "../../../../scripts/models/documents/documents.ts";
import { Words } from "../../../../scripts/models/documents/words.ts";
import { exampleOf } from "../../../../scripts/models/llama/answers.ts";
import { seeded } from "../../../support/seeded.ts";

describe("synthetic documents", () => {
  test("a seed always makes the same ones: what was measured with them stays comparable", () => {
    const texts = makeDocuments(130, 12).map(({ text }) => text);
    expect(hash("sha256", texts.join("\0"), "hex")).toBe(
      "6037969c60f6c73b77677e02a5e2d00df6cd75771877f8927f65880a4774397e",
    );
    expect(makeDocuments(13, 13)[0]?.text).not.toBe(texts[0]);
  });

  test("every kind takes its turn, and JSON parses", () => {
    const documents = makeDocuments(260, 4);
    expect(new Set(documents.map(({ kind }) => kind))).toEqual(new Set(documentKinds));
    for (const { kind, text } of documents) if (kind === "json") expect(() => void JSON.parse(text)).not.toThrow();
  });

  test("a template with an unknown place is refused", () => {
    expect(() => new Words(seeded(1)).fill("«nothing»")).toThrow("expected the name of a place, found «nothing»");
  });

  test("an answer tells kind, family and lines of what is shown", () => {
    const shown = exampleOf({ kind: "csv", text: "a,b\n".repeat(200) });
    expect(shown.text).toHaveLength(420);
    expect(JSON.parse(shown.answer)).toEqual({ kind: "csv", family: "data", lines: "many" });
    expect(JSON.parse(exampleOf({ kind: "log", text: "1\n2\n3\n4\n5\n6\n7\n8" }).answer)).toMatchObject({
      lines: "few",
    });
  });
});
