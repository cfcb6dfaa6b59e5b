import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  fsPath,
  hasEscapedBytes,
  pathFromBytes,
  pathFromPrintable,
  pathToBytes,
  printablePath,
} from "../../../src/contract/path-bytes.ts";

/** Bytes that look like names: plain text, valid multi-byte characters, and anything else. */
const names = fc
  .array(
    fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 4 }),
      fc.string({ unit: "grapheme", maxLength: 4 }).map((text) => Buffer.from(text, "utf8")),
    ),
    { maxLength: 12 },
  )
  .map((parts) => Buffer.concat(parts));

describe("path bytes", () => {
  test("any bytes come back from the string and from its JSON", () => {
    fc.assert(
      fc.property(names, (bytes) => {
        const path = pathFromBytes(bytes);
        expect(pathToBytes(path)).toEqual(bytes);
        expect(pathToBytes(JSON.parse(JSON.stringify(path)) as string)).toEqual(bytes);
      }),
      { numRuns: 1_000 },
    );
  });

  test("the printable form is well-formed, has no control characters and can be undone", () => {
    fc.assert(
      fc.property(names, (bytes) => {
        const path = pathFromBytes(bytes);
        const text = printablePath(path);
        expect(text.isWellFormed()).toBe(true);
        expect(text).not.toMatch(/[\u0000-\u001f\u007f]/);
        expect(pathFromPrintable(text)).toBe(path);
      }),
      { numRuns: 1_000 },
    );
  });

  test.each([
    ["latin-1 é", [0x63, 0xe9], "c\udce9"],
    ["an overlong slash", [0xc0, 0xaf], "\udcc0\udcaf"],
    ["an encoded surrogate", [0xed, 0xa0, 0x80], "\udced\udca0\udc80"],
    ["a cut sequence", [0xf0, 0x9f, 0x98], "\udcf0\udc9f\udc98"],
    ["the replacement character itself", [0xef, 0xbf, 0xbd], "\ufffd"],
    ["both", [0xef, 0xbf, 0xbd, 0xff], "\ufffd\udcff"],
  ])("%s has one string", (_name, bytes, path) => {
    expect(pathFromBytes(Uint8Array.from(bytes))).toBe(path);
    expect([...pathToBytes(path)]).toEqual(bytes);
  });

  test("a plain name is given to the file system as a string, any other as bytes", () => {
    expect(fsPath("a/é 😀")).toBe("a/é 😀");
    expect(fsPath("a\udcff")).toEqual(Buffer.from([0x61, 0xff]));
    expect(hasEscapedBytes("😀")).toBe(false);
  });
});
