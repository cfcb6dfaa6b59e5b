import { describe, expect, test } from "vitest";
import { Transformer } from "@napi-rs/image";
import { checkManifest, type ImageInput } from "../../../../src/contract/model-manifest.ts";
import { ImageEncoder } from "../../../../src/worker/inference/encode-image.ts";
import { fromHalf } from "../../../../src/worker/inference/half-float.ts";
import type { FileContent } from "../../../../src/worker/inference/input-file.ts";
import { png } from "../../../support/png.ts";

function contentOf(bytes: Uint8Array): FileContent {
  return { bytes: bytes.length, sha256: "", slice: (at, length) => bytes.subarray(at, at + length) };
}

function check(input: object) {
  return checkManifest({
    name: "m",
    task: "regress",
    model: { file: "m.onnx", sha256: "0".repeat(64) },
    output: { tensor: "y" },
    input: { kind: "image", tensor: "x", width: 2, height: 2, filter: "nearest", ...input },
  });
}

function encoderOf(input: object, type = "float32"): ImageEncoder {
  const checked = check(input);
  if (checked.kind === "faulty") throw new TypeError(JSON.stringify(checked.faults));
  return new ImageEncoder(checked.manifest.input as ImageInput, type);
}

function rowOf(input: object, bytes: Uint8Array, type = "float32"): { values: number[]; dims: readonly number[] } {
  const encoder = encoderOf(input, type);
  encoder.begin(1);
  expect(encoder.add(0, contentOf(bytes))).toBe(1);
  const feed = encoder.feeds(1)["x"];
  return { values: Array.from(feed?.data ?? [], Number), dims: feed?.dims ?? [] };
}

/** Red, green; blue, and a colour whose parts differ. */
const four = png({ width: 2, height: 2 }, [255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30]);

describe("image", () => {
  test("is laid colour by colour, or pixel by pixel", () => {
    expect(rowOf({ scale: 1 }, four)).toEqual({
      dims: [1, 3, 2, 2],
      values: [255, 0, 0, 10, 0, 255, 0, 20, 0, 0, 255, 30],
    });
    expect(rowOf({ scale: 1, layout: "nhwc", colors: "bgr" }, four)).toEqual({
      dims: [1, 2, 2, 3],
      values: [0, 0, 255, 0, 255, 0, 255, 0, 0, 30, 20, 10],
    });
  });

  test("is brought to 0 to 1, less its mean, over its deviation", () => {
    const [mean, std] = [
      [0.485, 0.456, 0.406],
      [0.229, 0.224, 0.225],
    ];
    const { values } = rowOf({ mean, std }, four);
    const pixels = [255, 0, 0, 10, 0, 255, 0, 20, 0, 0, 255, 30];
    for (const [at, value] of values.entries()) {
      const colour = Math.floor(at / 4);
      expect(value).toBeCloseTo(((pixels[at] ?? 0) / 255 - (mean[colour] ?? 0)) / (std[colour] ?? 1), 5);
    }
    const halves = rowOf({ mean, std }, four, "float16").values.map(fromHalf);
    for (const [at, value] of values.entries()) expect(halves[at]).toBeCloseTo(value, 2);
  });

  test("keeps its bytes in a tensor of whole numbers, and becomes grey as the eye sees it", () => {
    expect(rowOf({ layout: "nhwc" }, four, "uint8").values).toEqual([255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30]);
    // 0.299, 0.587 and 0.114 of 255, and 18.15 of the last one.
    expect(rowOf({ colors: "grey" }, four, "uint8")).toEqual({ dims: [1, 1, 2, 2], values: [76, 150, 29, 18] });
  });

  test("that is grey has three equal colours, and what is transparent is there all the same", () => {
    const grey = png({ width: 2, height: 2, colour: "grey" }, [0, 100, 200, 255]);
    expect(rowOf({}, grey, "uint8").values).toEqual([0, 100, 200, 255, 0, 100, 200, 255, 0, 100, 200, 255]);
    const clear = png({ width: 2, height: 2, colour: "rgba" }, [1, 2, 3, 0, 4, 5, 6, 9, 7, 8, 9, 255, 10, 11, 12, 0]);
    expect(rowOf({ layout: "nhwc" }, clear, "uint8").values).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  });

  test("of 16 bits a colour is brought to 8", () => {
    const deep = png({ width: 2, height: 2, colour: "grey", bits: 16 }, [0, 257, 25_700, 65_535]);
    expect(rowOf({ colors: "grey" }, deep, "uint8").values).toEqual([0, 1, 100, 255]);
  });

  test("is padded where it does not fill the frame", () => {
    const flat = png({ width: 4, height: 2, colour: "grey" }, [10, 10, 20, 20, 10, 10, 20, 20]);
    const padded = rowOf({ fit: "pad", colors: "grey", width: 2, height: 3, pad_value: 114 }, flat, "uint8");
    expect(padded.values).toEqual([114, 114, 10, 20, 114, 114]);
  });

  test("stays within its range where a filter would go beyond it", () => {
    const edge = png({ width: 4, height: 1, colour: "grey" }, [0, 0, 255, 255]);
    const { values } = rowOf({ filter: "bicubic", colors: "grey", width: 16, height: 1 }, edge, "uint8");
    expect(Math.max(...values)).toBe(255);
    expect(Math.min(...values)).toBe(0);
  });

  test.each(["jpegSync", "webpSync", "bmpSync"] as const)("may be what %s writes", (format) => {
    const plain = png({ width: 2, height: 2 }, new Array(12).fill(120));
    const { values } = rowOf({}, new Transformer(plain)[format](), "uint8");
    for (const value of values) expect(Math.abs(value - 120)).toBeLessThanOrEqual(3);
  });

  test.each([
    ["is empty", Buffer.alloc(0), {}, "expected an image, found 0 bytes"],
    [
      "is none",
      Buffer.from("plain text, and a little more of it"),
      {},
      "expected an image (PNG, JPEG, WebP or BMP), found a file that begins with 706c61696e207465",
    ],
    [
      "would take more memory than it may",
      png({ width: 30_000, height: 30_000 }, [1, 2, 3]),
      {},
      "expected an image of at most 50000000 pixels, found 30000 by 30000",
    ],
    ["is too large a file", four, { max_bytes: 20 }, `expected a file of at most 20 bytes, found ${four.length}`],
    [
      "ends too early",
      four.subarray(0, four.length - 20),
      {},
      "expected an image that can be decoded, found: Decode image failed",
    ],
    [
      "holds fewer pixels than it says",
      png({ width: 400, height: 400 }, [1, 2, 3]),
      {},
      "expected an image that can be decoded, found: Decode image failed",
    ],
  ])("that %s is bad input", (_name, bytes, input, message) => {
    const encoder = encoderOf(input);
    encoder.begin(1);
    const failure = encoder.add(0, contentOf(bytes));
    if (failure === 1) throw new TypeError("expected a failure");
    expect(failure.class).toBe("bad-input");
    expect(failure.message.slice(0, message.length)).toBe(message);
  });
});

test.each([
  [{ mean: [0.5] }, "input.mean"],
  [{ colors: "grey", std: [1, 1, 1] }, "input.std"],
  [{ shorter_side: 4 }, "input.shorter_side"],
  [{ fit: "crop", shorter_side: 1 }, "input.shorter_side"],
  [{ max_pixels: 0 }, "input.max_pixels"],
  [{ filter: "lanczos" }, "input.filter"],
])("a manifest that says %j of an image is refused at %s", (input, where) => {
  expect(check(input)).toMatchObject({ kind: "faulty", faults: [{ where }] });
});
