import { expect, test } from "vitest";
import type { Expectation } from "../../../../src/contract/expectation.ts";
import { GiB } from "../../../../src/contract/resources.ts";
import { chooseGpu, gpuTokensOf, gpuWishOf, withOnly } from "../../../../src/worker/governor/gpu-tokens.ts";
import type { Gpu } from "../../../../src/worker/governor/probes/gpu.ts";
import { cardUseOf } from "../../../../src/worker/governor/reservations.ts";

const card = (index: number, usedBytes: number | null): Gpu => ({
  ...{ index, uuid: `GPU-${index}`, name: "card", memoryBytes: 80 * GiB, usedBytes },
  ...{ utilisation: 0, temperatureC: 40, powerW: 70, processes: [] },
});
const wish = { memoryBytes: GiB, isDeclared: false };
const gpus = [card(0, 10 * GiB), card(1, 0)];
const taken = (tokens: readonly { readonly isTaken: boolean }[]) => tokens.map(({ isTaken }) => isTaken);

test("a card is given to one job at a time, the emptiest first, and comes back", () => {
  const held: { id: number; card: string | undefined }[] = [];
  for (const id of [1, 2, 3]) held.push({ id, card: chooseGpu(wish, gpuTokensOf(gpus, held, [])) });
  expect(held.map((job) => job.card)).toEqual(["GPU-1", "GPU-0", undefined]);
  expect(gpuTokensOf(gpus, held, []).map(({ takenBy }) => takenBy)).toEqual([2, 1]);
  expect(chooseGpu(wish, gpuTokensOf(gpus, held.slice(1), []))).toBe("GPU-1");
  expect(chooseGpu(undefined, gpuTokensOf(gpus, [], []))).toBeUndefined();
});

test("a card that another worker of the machine has given to a job is taken, and nobody's of ours", () => {
  const tokens = gpuTokensOf(gpus, [], [{ cards: [] }, { cards: ["GPU-1"] }]);
  expect(tokens.map(({ isTaken, takenBy }) => [isTaken, takenBy])).toEqual([
    [false, undefined],
    [true, undefined],
  ]);
  expect(chooseGpu(wish, tokens)).toBe("GPU-0");
});

test("a job that was promised a card looks at no other, and not at one that is promised twice", () => {
  const tokens = gpuTokensOf(gpus, [], []);
  expect(taken(withOnly("GPU-1", tokens, [{ cards: ["GPU-0"] }]))).toEqual([true, false]);
  expect(taken(withOnly("GPU-1", tokens, [{ cards: ["GPU-1"] }]))).toEqual([true, true]);
});

test("a card that vanished while a job holds it is given to nobody when it is back", () => {
  const held = [{ id: 1, card: "GPU-0" }];
  expect(gpuTokensOf([], held, [])).toEqual([]);
  expect(chooseGpu(wish, gpuTokensOf([card(0, 0)], held, []))).toBeUndefined();
});

test("the label gpu asks for one card; a card that tells no memory is free or taken", () => {
  expect(gpuWishOf(["big"])).toBeUndefined();
  const wanted = gpuWishOf(["gpu"]);
  expect(wanted).toBeDefined();
  expect(chooseGpu(wanted, gpuTokensOf([card(0, null)], [], []))).toBe("GPU-0");
});

test("what an engine that asked for no card will still take of the one it is on is not free, here and next door", () => {
  const cards = [card(0, 10 * GiB)];
  const gpuUse = { card: "GPU-0", usedBytes: 10 * GiB, peakBytes: 10 * GiB, pids: [7] };
  const expectation = { gpuMemoryBytes: { basis: "learned", p50: 30 * GiB, p95: 40 * GiB } } as Expectation;
  const engine = { id: 1, card: undefined, gpuUse, expectation };
  expect(gpuTokensOf(cards, [engine], [])).toMatchObject([{ freeBytes: 40 * GiB, isTaken: false }]);
  const [cardUse] = [cardUseOf(engine) ?? { card: "", bytes: 0, growthBytes: 0 }];
  expect(cardUse).toEqual({ card: "GPU-0", bytes: 40 * GiB, growthBytes: 30 * GiB });
  expect(gpuTokensOf(cards, [], [{ cards: [], cardUse: [cardUse] }])).toMatchObject([{ freeBytes: 40 * GiB }]);
  // A card that is one job's is nobody else's, whatever that one takes.
  const holder = { id: 2, card: "GPU-0", gpuBytes: 60 * GiB };
  expect(gpuTokensOf(cards, [holder], [])).toMatchObject([{ freeBytes: 70 * GiB, isTaken: true }]);
});
