import { describe, expect, test } from "vitest";
import { Pace } from "../../../../src/worker/executor/pace.ts";

describe("pace", () => {
  test("starts alone, and grows to a limit while files are fast", () => {
    const pace = new Pace();
    expect(pace.nextSize()).toBe(1);
    pace.observe(1);
    expect([1, 2, 3, 4, 5, 6].map(() => pace.nextSize())).toEqual([2, 4, 8, 16, 32, 32]);
  });

  test("goes alone when files are slow, at once after one slow file", () => {
    const pace = new Pace();
    pace.observe(1);
    for (let round = 0; round < 5; round += 1) pace.nextSize();
    pace.observe(500);
    expect(pace.nextSize()).toBe(1);
  });
});
