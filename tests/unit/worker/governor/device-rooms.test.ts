/** Cards and volumes as a person is shown them. */
import { expect, test } from "vitest";
import type { Expectation } from "../../../../src/contract/expectation.ts";
import { GiB } from "../../../../src/contract/resources.ts";
import { deviceRoomsOf } from "../../../../src/worker/governor/device-rooms.ts";

const card = { uuid: "u", name: "card", utilisation: null, temperatureC: null, powerW: null, processes: [] };
const volume = { path: "/tmp", totalInodes: undefined, freeInodes: undefined };

test("cards that tell their memory, and the volume of which the largest share is in use", () => {
  const gpus = [
    { ...card, index: 0, memoryBytes: 8 * GiB, usedBytes: GiB },
    { ...card, index: 1, memoryBytes: null, usedBytes: null },
  ];
  const volumes = [
    { ...volume, use: "scratch", totalBytes: 10 * GiB, freeBytes: 5 * GiB },
    { ...volume, use: "output", totalBytes: 1_000 * GiB, freeBytes: 100 * GiB },
    { ...volume, use: "output", totalBytes: 0, freeBytes: 0 },
  ] as const;
  const jobs = [{ card: "u", gpuBytes: 3 * GiB, gpuUse: undefined }];
  expect(deviceRoomsOf({ gpus, volumes }, jobs)).toEqual([
    { name: "gpu 0", usedBytes: GiB, totalBytes: 8 * GiB, reservedBytes: 3 * GiB },
    { name: "output", usedBytes: 900 * GiB, totalBytes: 1_000 * GiB },
  ]);
  expect(deviceRoomsOf({ gpus: [], volumes: [] }, jobs)).toEqual([]);
});

test("a card has promised what jobs that asked for none take of it, and what other workers promise", () => {
  const gpus = [
    { ...card, index: 0, memoryBytes: 8 * GiB, usedBytes: 3 * GiB },
    { ...card, uuid: "v", index: 1, memoryBytes: 8 * GiB, usedBytes: 0 },
  ];
  const engine = {
    ...{ card: undefined, gpuBytes: 0, gpuUse: { card: "u", usedBytes: GiB, peakBytes: GiB, pids: [7] } },
    expectation: { gpuMemoryBytes: { basis: "learned", p50: 2 * GiB, p95: 3 * GiB } } as Expectation,
  };
  const neighbour = { cardUse: [{ card: "u", bytes: 2 * GiB, growthBytes: 0 }] };
  const reserved = deviceRoomsOf({ gpus, volumes: [] }, [engine], [neighbour, {}]).map((room) => room.reservedBytes);
  expect(reserved).toEqual([5 * GiB, 0]);
});
