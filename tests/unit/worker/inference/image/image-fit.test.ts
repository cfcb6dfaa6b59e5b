import { expect, test } from "vitest";
import { fitImage } from "../../../../../src/worker/inference/image/image-fit.ts";

const wide = { width: 400, height: 200 };
const frame = { width: 100, height: 100 };

test("stretching takes each side by itself", () => {
  expect(fitImage(wide, { ...frame, fit: "stretch" })).toEqual({
    across: { length: 100, from: 0, count: 100 },
    down: { length: 100, from: 0, count: 100 },
    left: 0,
    top: 0,
  });
});

test("cropping takes the middle of what covers the frame, or of a shorter side that was asked for", () => {
  expect(fitImage(wide, { ...frame, fit: "crop" })).toMatchObject({
    across: { length: 200, from: 50, count: 100 },
    down: { length: 100, from: 0, count: 100 },
  });
  expect(fitImage(wide, { ...frame, fit: "crop", shorter_side: 128 })).toMatchObject({
    across: { length: 256, from: 78, count: 100 },
    down: { length: 128, from: 14, count: 100 },
  });
});

test("padding takes all of the image, and says where it lies", () => {
  expect(fitImage(wide, { ...frame, fit: "pad" })).toEqual({
    across: { length: 100, from: 0, count: 100 },
    down: { length: 50, from: 0, count: 50 },
    left: 0,
    top: 25,
  });
  expect(fitImage({ width: 10_000, height: 1 }, { ...frame, fit: "pad" }).down).toEqual({
    length: 1,
    from: 0,
    count: 1,
  });
});

test.each([
  [333, 1_000],
  [1, 1],
  [1_001, 7],
])("a crop of %i by %i fills the frame, whatever is rounded", (width, height) => {
  const fit = fitImage({ width, height }, { width: 31, height: 17, fit: "crop" });
  expect([fit.across.count, fit.down.count, fit.left, fit.top]).toEqual([31, 17, 0, 0]);
  expect(fit.across.from + 31).toBeLessThanOrEqual(fit.across.length);
  expect(fit.down.from + 17).toBeLessThanOrEqual(fit.down.length);
});
