import { expect, test } from "vitest";
import { GiB } from "../../../../src/contract/resources.ts";
import { GpuTokens, gpuWishOf } from "../../../../src/worker/governor/gpu-tokens.ts";
import type { Gpu } from "../../../../src/worker/governor/probes/gpu.ts";

const card = (index: number, usedBytes: number | null): Gpu => ({
  ...{ index, uuid: `GPU-${index}`, name: "card", memoryBytes: 80 * GiB, usedBytes },
  ...{ utilisation: 0, temperatureC: 40, powerW: 70, processes: [] },
});

test("a card is given to one job at a time, the emptiest first, and comes back", () => {
  const tokens = new GpuTokens();
  const gpus = [card(0, 10 * GiB), card(1, 0)];
  const wish = { memoryBytes: GiB };
  expect([tokens.take(1, wish, gpus), tokens.take(2, wish, gpus), tokens.take(3, wish, gpus)]).toEqual([
    "GPU-1",
    "GPU-0",
    undefined,
  ]);
  expect(tokens.show(gpus).map(({ isTaken }) => isTaken)).toEqual([true, true]);
  expect([tokens.of(1), tokens.of(3), tokens.of(undefined)]).toEqual(["GPU-1", undefined, undefined]);
  tokens.release(1);
  tokens.release(1);
  expect(tokens.of(1)).toBeUndefined();
  expect(tokens.take(4, wish, gpus)).toBe("GPU-1");
});

test("a card that vanished while a job holds it is given to nobody when it is back", () => {
  const tokens = new GpuTokens();
  tokens.take(1, { memoryBytes: GiB }, [card(0, 0)]);
  expect(tokens.show([])).toEqual([]);
  expect(tokens.take(2, { memoryBytes: GiB }, [card(0, 0)])).toBeUndefined();
});

test("the label gpu asks for one card; a card that tells no memory is free or taken", () => {
  expect(gpuWishOf(["big"])).toBeUndefined();
  const wish = gpuWishOf(["gpu"]);
  expect(wish).toBeDefined();
  expect(new GpuTokens().take(1, wish ?? { memoryBytes: 0 }, [card(0, null)])).toBe("GPU-0");
});
