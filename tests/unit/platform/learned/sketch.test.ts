import { describe, expect, test } from "vitest";
import { bucketAt, quantile, quantilePlace, ratioScale, scales } from "../../../../src/platform/learned/sketch.ts";

describe("a quantile", () => {
  test("lies within a bucket as far as its share of the weight does", () => {
    const histogram = new Map([
      [3, 10],
      [5, 20],
      [6, 10],
    ]);
    expect(quantilePlace(histogram, 0.125)).toBeCloseTo(2.5);
    expect(quantilePlace(histogram, 0.25)).toBeCloseTo(3);
    expect(quantilePlace(histogram, 0.5)).toBeCloseTo(4.5);
    expect(quantilePlace(histogram, 1)).toBeCloseTo(6);
    expect(quantilePlace(new Map(), 0.5)).toBeUndefined();
    expect(quantilePlace(new Map([[4, -1]]), 0.5)).toBeUndefined();
  });

  test("is the edge of a bucket that holds most of the weight, for it may all be one value", () => {
    const one = new Map([[bucketAt(ratioScale, 1), 40]]);
    expect(quantile(ratioScale, one, 0.95)).toBe(1);
    expect(quantilePlace(one, 0.05)).toBe(-1);
    expect(quantilePlace(one, 0.5)).toBe(-0.5);
    const most = new Map([
      [2, 1],
      [3, 8],
      [9, 1],
    ]);
    expect(quantilePlace(most, 0.8)).toBe(3);
    expect(quantilePlace(most, 0.95)).toBeCloseTo(8.5);
  });

  test("of evenly spread values is off by a small part of a bucket", () => {
    for (const scale of [scales.memory, ratioScale]) {
      const histogram = new Map<number, number>();
      const [from, to] = [10 * scale.base, 12 * scale.base];
      for (let at = 0; at < 4_000; at += 1) {
        const bucket = bucketAt(scale, from + ((to - from) * (at + 0.5)) / 4_000);
        histogram.set(bucket, (histogram.get(bucket) ?? 0) + 1);
      }
      for (const share of [0.05, 0.5, 0.95]) {
        const exact = from + (to - from) * share;
        expect(Math.abs((quantile(scale, histogram, share) ?? 0) / exact - 1)).toBeLessThan(
          scale.growth === 1.02 ? 0.005 : 0.012,
        );
      }
    }
  });

  test("of what lies below the scale is its lowest edge", () => {
    expect(quantile(scales.memory, new Map([[0, 5]]), 0.5)).toBe(scales.memory.base);
  });
});
