import { describe, expect, test } from "vitest";
import { FileChooser } from "../../../../src/platform/scan/choose-files.ts";
import { randomOf } from "../../../support/random-jobs.ts";

describe("the files that are measured", () => {
  test("are the smallest, the largest and some between, in an input of any size", () => {
    const random = randomOf(1);
    for (const count of [100, 20_000]) {
      const chooser = new FileChooser(() => random.uniform());
      for (let at = 0; at < count; at += 1) chooser.add({ path: `f${at}`, bytes: (at * 7_919) % count });
      const sizes = chooser.choose(5).map(({ bytes }) => bytes / (count - 1));
      expect(sizes).toHaveLength(5);
      for (const [at, size] of sizes.entries()) expect(Math.abs(size - at / 4)).toBeLessThan(0.04);
      expect([sizes[0], sizes[4]]).toEqual([0, 1]);
    }
  });

  test("are all of them when there are few, each once", () => {
    const chooser = new FileChooser(Math.random);
    expect(chooser.choose(5)).toEqual([]);
    for (const path of ["a", "b"]) chooser.add({ path, bytes: 1 });
    expect(chooser.choose(5).map(({ path }) => path)).toEqual(expect.arrayContaining(["a", "b"]));
    expect(chooser.choose(5)).toHaveLength(2);
  });

  test("are as many as asked for where all have one size, and one alone is the middle one", () => {
    const chooser = new FileChooser(Math.random);
    for (let at = 0; at < 12; at += 1) chooser.add({ path: `f${at}`, bytes: 1_000 });
    expect(chooser.choose(4)).toHaveLength(4);
    expect(chooser.choose(20)).toHaveLength(12);
    chooser.add({ path: "large", bytes: 2_000 });
    expect(chooser.choose(3).at(-1)).toEqual({ path: "large", bytes: 2_000 });
    expect(chooser.choose(1)).toEqual([{ path: "f6", bytes: 1_000 }]);
  });
});
