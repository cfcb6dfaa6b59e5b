import { hash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { checkManifest, type BytesInput, type JsonInput } from "../../../../src/contract/model-manifest.ts";
import { decodeText, wholeCharacters } from "../../../../src/worker/inference/decode-text.ts";
import { BytesEncoder } from "../../../../src/worker/inference/encode-bytes.ts";
import { JsonEncoder } from "../../../../src/worker/inference/encode-json.ts";
import type { FileContent } from "../../../../src/worker/inference/input-file.ts";

function contentOf(text: string | Uint8Array): FileContent {
  const bytes = typeof text === "string" ? Buffer.from(text) : text;
  return {
    bytes: bytes.length,
    sha256: hash("sha256", bytes, "hex"),
    slice: (at, length) => bytes.subarray(at, at + length),
  };
}

/** An input with its defaults, as a manifest has it. */
function inputOf<K extends "bytes" | "json">(input: {
  kind: K;
  [key: string]: unknown;
}): K extends "bytes" ? BytesInput : JsonInput {
  const checked = checkManifest({
    name: "m",
    task: "regress",
    model: { file: "m.onnx", sha256: "0".repeat(64) },
    output: { tensor: "y" },
    input,
  });
  if (checked.kind === "faulty") throw new TypeError(JSON.stringify(checked.faults));
  return checked.manifest.input as K extends "bytes" ? BytesInput : JsonInput;
}

function row(input: object, text: string | Uint8Array, type = "int32"): number[] {
  const encoder = new BytesEncoder(inputOf({ kind: "bytes", tensor: "x", ...input }), type);
  encoder.begin(1);
  expect(encoder.add(0, contentOf(text))).toBeNull();
  return Array.from(encoder.feeds(1)["x"]?.data ?? [], Number);
}

describe("bytes", () => {
  test("of a head are padded behind, of a tail in front, of a middle on both sides", () => {
    const pad = { pad_value: 256 };
    expect(row({ ...pad, windows: [{ at: "head", length: 4 }] }, "ab")).toEqual([97, 98, 256, 256]);
    expect(row({ ...pad, windows: [{ at: "tail", length: 4 }] }, "ab")).toEqual([256, 256, 97, 98]);
    expect(row({ ...pad, windows: [{ at: "middle", length: 4 }] }, "ab")).toEqual([256, 97, 98, 256]);
  });

  test("of several windows lie one behind the other", () => {
    const windows = [
      { at: "head", length: 2 },
      { at: "middle", length: 2 },
      { at: "tail", length: 2 },
    ];
    const text = String.fromCharCode(...row({ windows }, "abcdefghij"));
    expect(text).toBe("abefij");
  });

  test("lose white space at the ends of the file alone, before they are cut", () => {
    const strip = { strip: "whitespace", block_bytes: 8 };
    expect(String.fromCharCode(...row({ ...strip, windows: [{ at: "head", length: 3 }] }, "\n \ta b c"))).toBe("a b");
    expect(String.fromCharCode(...row({ ...strip, windows: [{ at: "tail", length: 3 }] }, "a b c\r\n "))).toBe("b c");
  });

  test("are multiplied for floats, and fit 64-bit integers", () => {
    expect(row({ windows: [{ at: "head", length: 2 }], scale: 0.5 }, "ab", "float32")).toEqual([48.5, 49]);
    expect(row({ windows: [{ at: "head", length: 3 }], pad_value: -1 }, "ab", "int64")).toEqual([97, 98, -1]);
  });

  test("leave nothing of an earlier file in a row", () => {
    const encoder = new BytesEncoder(
      inputOf({ kind: "bytes", tensor: "x", windows: [{ at: "head", length: 4 }] }),
      "uint8",
    );
    encoder.begin(1);
    encoder.add(0, contentOf("abcd"));
    encoder.add(0, contentOf("z"));
    expect([...(encoder.feeds(1)["x"]?.data ?? [])]).toEqual([122, 0, 0, 0]);
  });

  test.each([
    ["an empty file", { windows: [{ at: "head", length: 2 }] }, "", "expected a file that is not empty, found 0 bytes"],
    [
      "a file that is too long, where that fails",
      { windows: [{ at: "head", length: 2 }], too_long: "fail" },
      "abc",
      "expected a file of at most 2 bytes, found 3",
    ],
  ])("refuse %s", (_name, input, text, message) => {
    const encoder = new BytesEncoder(inputOf({ kind: "bytes", tensor: "x", ...input }), "uint8");
    encoder.begin(1);
    expect(encoder.add(0, contentOf(text))).toEqual({ class: "bad-input", message });
  });
});

describe("fields of JSON", () => {
  const input = inputOf({
    kind: "json",
    tensors: [
      {
        tensor: "x",
        fields: [{ path: "a.b" }, { path: "kind", values: { red: 7 }, missing: -1 }, { path: "list", length: 2 }],
      },
    ],
  });

  function values(text: string | Uint8Array) {
    const encoder = new JsonEncoder(input, () => "float32");
    encoder.begin(1);
    const failure = encoder.add(0, contentOf(text));
    return failure === null ? [...(encoder.feeds(1)["x"]?.data ?? [])] : failure.message;
  }

  test("become numbers in their order", () => {
    expect(values('{"a":{"b":1.5},"kind":"red","list":[2,true]}')).toEqual([1.5, 7, 2, 1]);
    expect(values('{"a":{"b":1.5},"kind":null,"list":[2,3]}')).toEqual([1.5, -1, 2, 3]);
  });

  test.each([
    ["{}", "a.b: expected a number, found nothing"],
    ['{"a":{"b":"x"}}', 'a.b: expected a number, found "x"'],
    ['{"a":{"b":1},"kind":"blue"}', 'kind: expected a number or one of red, found "blue"'],
    ['{"a":{"b":1},"list":[1]}', "list: expected a list of 2 numbers, found 1"],
    ["not json", /^expected a file of JSON, found /],
    [Uint8Array.from([0xff, 0xfe]), "expected a file of JSON in UTF-8, found bytes that are not UTF-8"],
  ])("that %s has not fail with the place", (text, message) => {
    expect(values(text)).toMatch(message);
  });
});

describe("text", () => {
  test("is what strict UTF-8 says, without the mark of byte order", () => {
    expect(decodeText(Buffer.from("\ufeffhé"))).toBe("hé");
    expect(decodeText(Uint8Array.from([0x68, 0xc3]))).toBeUndefined();
  });

  test.each(["aé", "a€", "a😀", "abc"])("that is cut inside %s ends before the character", (text) => {
    const whole = Buffer.from(text);
    for (let length = 0; length <= whole.length; length += 1) {
      const cut = decodeText(wholeCharacters(whole.subarray(0, length)));
      expect(cut).toBeDefined();
      expect(text.startsWith(cut ?? "-")).toBe(true);
    }
    expect(decodeText(wholeCharacters(whole))).toBe(text);
  });
});
