import { describe, expect, test } from "vitest";
import { fittingRows } from "../../../../src/worker/inference/model-task.ts";

describe("rows of a warm-up", () => {
  const runs = async (mostMs: number, isFixed = false) => {
    const tried: number[] = [];
    const fits = await fittingRows(64, { refusals: [], isFixed, mostMs }, (rows) => {
      tried.push(rows);
      return rows > 20 && !isFixed ? Promise.reject(new Error("std::bad_alloc")) : Promise.resolve();
    });
    return { fits, tried };
  };

  test("are as many as the memory holds", async () => {
    expect(await runs(Infinity)).toEqual({ fits: 16, tried: [64, 32, 16] });
  });

  test("are as many as the time does for, by what one takes once it has run", async () => {
    expect(await runs(60_000)).toEqual({ fits: 16, tried: [1, 1, 64, 32, 16] });
    expect(await runs(0)).toEqual({ fits: 1, tried: [1, 1] });
  });

  test("are those of the model where it takes no others", async () => {
    expect(await runs(0, true)).toEqual({ fits: 64, tried: [64] });
  });
});
