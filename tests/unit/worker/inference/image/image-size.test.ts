import { Transformer } from "@napi-rs/image";
import { describe, expect, test } from "vitest";
import { imageSize } from "../../../../../src/worker/inference/image/image-size.ts";
import { png } from "../../../../support/png.ts";

const size = { width: 5, height: 3 };
const image = png(
  size,
  Array.from({ length: 45 }, (_, at) => (at * 7) % 256),
);

describe("size of an image", () => {
  test.each([
    ["PNG", image],
    ["JPEG", new Transformer(image).jpegSync()],
    ["lossless WebP", new Transformer(image).webpLosslessSync()],
    ["lossy WebP", new Transformer(image).webpSync(80)],
    ["BMP", new Transformer(image).bmpSync()],
  ])("is read from the head of a %s", (_name, bytes) => {
    expect(imageSize(bytes)).toEqual(size);
  });

  test("is what the file says of itself, however little follows", () => {
    const bomb = png({ width: 100_000, height: 90_000 }, [1, 2, 3]);
    expect(bomb.length).toBeLessThan(200);
    expect(imageSize(bomb)).toEqual({ width: 100_000, height: 90_000 });
  });

  test.each([
    ["nothing", Buffer.alloc(0)],
    ["text", Buffer.from("hello, this is no image of any kind")],
    ["the beginning of a head", image.subarray(0, 18)],
    ["a JPEG without a frame", Buffer.from([0xff, 0xd8, 0xff, 0xd9, 0x00, 0x00])],
    ["a JPEG whose segments lead nowhere", Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0xff, 0xff, 0x00])],
  ])("is unknown of %s", (_name, bytes) => {
    expect(imageSize(bytes)).toBeUndefined();
  });
});
