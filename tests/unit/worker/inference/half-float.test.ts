import { describe, expect, test } from "vitest";
import { fromHalf, toHalf } from "../../../../src/worker/inference/half-float.ts";

/** Bits and values from the standard's own table of examples. */
const examples: readonly (readonly [number, number])[] = [
  [0x0000, 0],
  [0x0001, 2 ** -24],
  [0x03ff, 2 ** -14 * (1_023 / 1_024)],
  [0x0400, 2 ** -14],
  [0x3555, 0.333251953125],
  [0x3bff, 0.99951171875],
  [0x3c00, 1],
  [0x3c01, 1.0009765625],
  [0x7bff, 65_504],
  [0x7c00, Infinity],
  [0xc000, -2],
  [0xfc00, -Infinity],
];

describe("16-bit float", () => {
  test.each(examples)("%i is %d, there and back", (bits, value) => {
    expect(fromHalf(bits)).toBe(value);
    expect(toHalf(value)).toBe(bits);
  });

  test("every one of them comes back as it was", () => {
    for (let bits = 0; bits < 65_536; bits += 1) {
      const value = fromHalf(bits);
      if (Number.isNaN(value)) expect(Number.isNaN(fromHalf(toHalf(value)))).toBe(true);
      else if (toHalf(value) !== bits) expect([bits, toHalf(value)]).toEqual([bits, bits]);
    }
  });

  test("is the nearest, and the even one of two that are as near", () => {
    const step = 2 ** -10;
    expect(fromHalf(toHalf(1 + 0.4 * step))).toBe(1);
    expect(fromHalf(toHalf(1 + 0.6 * step))).toBe(1 + step);
    expect(fromHalf(toHalf(1 + 0.5 * step))).toBe(1);
    expect(fromHalf(toHalf(1 + 1.5 * step))).toBe(1 + 2 * step);
    expect(fromHalf(toHalf(2 ** -25))).toBe(0);
    expect(fromHalf(toHalf(1.01 * 2 ** -25))).toBe(2 ** -24);
    expect(fromHalf(toHalf(65_519))).toBe(65_504);
    expect(fromHalf(toHalf(65_520))).toBe(Infinity);
    expect(Number.isNaN(fromHalf(toHalf(Number.NaN)))).toBe(true);
  });
});
