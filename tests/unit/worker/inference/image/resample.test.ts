import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { resample, type ResizeFilter } from "../../../../../src/worker/inference/image/resample.ts";

interface Reference {
  readonly width: number;
  readonly height: number;
  readonly values: readonly number[];
}

/** What Pillow 12.3 made of an image of floats, with which it does not round in between. */
const pillow = JSON.parse(
  readFileSync(join(import.meta.dirname, "../../../../fixtures/resized-pillow.json"), "utf8"),
) as Reference & { readonly resized: readonly (Reference & { readonly filter: ResizeFilter })[] };

const whole = (length: number) => ({ length, from: 0, count: length });
const grey = { ...pillow, channels: 1 as const, data: Float32Array.from(pillow.values), stride: 1, scale: 1 };

describe("resized image", () => {
  test.each(pillow.resized.map((each) => [each.filter, each.width, each.height, each] as const))(
    "is Pillow's, %s to %i by %i",
    (filter, width, height, { values }) => {
      const { data } = resample(grey, { across: whole(width), down: whole(height), filter });
      expect(data).toHaveLength(values.length);
      for (const [at, value] of values.entries()) expect(data[at]).toBeCloseTo(value, 2);
    },
  );

  test("of which a part is wanted has the very pixels of the whole", () => {
    const all = resample(grey, { across: whole(20), down: whole(17), filter: "bicubic" });
    const across = { length: 20, from: 3, count: 11 };
    const down = { length: 17, from: 9, count: 5 };
    const part = resample(grey, { across, down, filter: "bicubic" });
    for (let y = 0; y < 5; y += 1) {
      for (let x = 0; x < 11; x += 1) expect(part.data[y * 11 + x]).toBe(all.data[(y + 9) * 20 + x + 3]);
    }
  });

  test("of three colours is that of each colour by itself", () => {
    const mixed = Float32Array.from(pillow.values.flatMap((value, at) => [value, 255 - value, at]));
    const to = { across: whole(5), down: whole(4), filter: "bilinear" } as const;
    const { data, channels } = resample({ ...pillow, channels: 3, data: mixed, stride: 3, scale: 1 }, to);
    const alone = resample(grey, to).data;
    expect(channels).toBe(3);
    for (const [at, value] of alone.entries()) {
      expect(data[at * 3]).toBe(value);
      expect(data[at * 3 + 1]).toBeCloseTo(255 - value, 3);
    }
  });
});
