import { hash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { checkManifest, type ModelInput } from "../../../../src/contract/model-manifest.ts";
import { decodeText, wholeCharacters } from "../../../../src/worker/inference/decode-text.ts";
import { BytesEncoder } from "../../../../src/worker/inference/encode-bytes.ts";
import { JsonEncoder } from "../../../../src/worker/inference/encode-json.ts";
import { TextEncoder } from "../../../../src/worker/inference/encode-text.ts";
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
function inputOf<K extends ModelInput["kind"]>(input: {
  kind: K;
  [key: string]: unknown;
}): Extract<ModelInput, { kind: K }> {
  const checked = checkManifest({
    name: "m",
    task: "regress",
    model: { file: "m.onnx", sha256: "0".repeat(64) },
    output: { tensor: "y" },
    input,
  });
  if (checked.kind === "faulty") throw new TypeError(JSON.stringify(checked.faults));
  return checked.manifest.input as Extract<ModelInput, { kind: K }>;
}

function row(input: object, text: string | Uint8Array, type = "int32"): number[] {
  const encoder = new BytesEncoder(inputOf({ kind: "bytes", tensor: "x", ...input }), type);
  encoder.begin(1);
  expect(encoder.add(0, contentOf(text))).toBe(1);
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
    const added = encoder.add(0, contentOf(text));
    return added === 1 ? [...(encoder.feeds(1)["x"]?.data ?? [])] : added.message;
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

describe("a long text that is split", () => {
  const words = ["[PAD]", "[CLS]", "[SEP]", "a", "b", "c", "d", "e", "f", "g"];
  const special = (name: string) => ({ id: name, ids: [words.indexOf(name)], tokens: [name] });
  const tokenizer = {
    version: "1.0",
    ...{ truncation: null, padding: null, normalizer: null, decoder: null },
    added_tokens: words.slice(0, 3).map((content, id) => ({
      ...{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
    })),
    pre_tokenizer: { type: "WhitespaceSplit" },
    post_processor: {
      type: "TemplateProcessing",
      single: [
        { SpecialToken: { id: "[CLS]", type_id: 0 } },
        { Sequence: { id: "A", type_id: 0 } },
        { SpecialToken: { id: "[SEP]", type_id: 0 } },
      ],
      pair: [],
      special_tokens: { "[CLS]": special("[CLS]"), "[SEP]": special("[SEP]") },
    },
    model: { type: "WordLevel", vocab: Object.fromEntries(words.map((word, id) => [word, id])), unk_token: "[PAD]" },
  };
  const encoderOf = (more: object) => {
    const pinned = { file: "t.json", sha256: "0".repeat(64) };
    const input = inputOf({ kind: "text", tokenizer: pinned, tensors: { ids: "ids", mask: "mask" }, ...more });
    const encoder = new TextEncoder(input, { tokenizer, config: {} }, () => "int32");
    encoder.begin();
    return encoder;
  };
  const namesOf = (encoder: TextEncoder, rows: number, from = 0) => {
    const { data = [], dims = [] } = encoder.feeds(rows, from)["ids"] ?? {};
    const width = dims[1] ?? 0;
    const all = [...data].map((id) => words[Number(id)] ?? "?");
    return Array.from({ length: rows }, (_, row) => all.slice(row * width, (row + 1) * width).join(" "));
  };

  test("has the special tokens around each part, and parts that overlap", () => {
    const encoder = encoderOf({ too_long: "split", max_tokens: 5, split: { overlap_tokens: 1 } });
    expect(encoder.add(0, contentOf("a b"))).toBe(1);
    expect(encoder.add(1, contentOf("a b c d e f g"))).toBe(3);
    expect(namesOf(encoder, 3)).toEqual(["[CLS] a b [SEP] [PAD]", "[CLS] a b c [SEP]", "[CLS] c d e [SEP]"]);
    expect(namesOf(encoder, 1, 3)).toEqual(["[CLS] e f g [SEP]"]);
    expect([0, 1, 2, 3].map((row) => encoder.filled(row))).toEqual([4, 5, 5, 5]);
  });

  test("is not made up of special tokens where the file is empty", () => {
    const message = "expected a file that is not empty, found 0 bytes";
    expect(encoderOf({}).add(0, contentOf(""))).toEqual({ class: "bad-input", message });
  });

  test("ends with what is left over", () => {
    const encoder = encoderOf({ too_long: "split", max_tokens: 5 });
    expect(encoder.add(0, contentOf("a b c d"))).toBe(2);
    expect(namesOf(encoder, 2)).toEqual(["[CLS] a b c [SEP]", "[CLS] d [SEP] [PAD] [PAD]"]);
  });

  test.each([
    [{ max_tokens: 5, split: { max_parts: 2 } }, "expected a text of at most 2 parts of 3 tokens, found 3"],
    [
      { max_tokens: 3, split: { overlap_tokens: 1 } },
      "expected parts of more than 1 tokens, found 1 in max_tokens beside the special ones",
    ],
    [{ max_bytes: 5 }, "expected a file of at most 5 bytes, found 13"],
  ])("fails under %j with what was expected", (more, message) => {
    const encoder = encoderOf({ too_long: "split", ...more });
    expect(encoder.add(0, contentOf("a b c d e f g"))).toEqual({ class: "bad-input", message });
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
