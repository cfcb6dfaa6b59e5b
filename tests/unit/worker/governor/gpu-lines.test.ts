import { describe, expect, test } from "vitest";
import { GiB, MiB } from "../../../../src/contract/resources.ts";
import { parseGpuLine, parseGpuProcessLine } from "../../../../src/worker/governor/probes/gpu-lines.ts";

const UUID = "GPU-1f3c0e5a-7a3b-4c7e-9d0e-0a1b2c3d4e5f";

describe("lines of nvidia-smi", () => {
  test("a card with all its figures", () => {
    expect(parseGpuLine(`0, ${UUID}, NVIDIA H100 80GB HBM3, 81920, 1024, 37, 54, 312.45`)).toEqual({
      index: 0,
      uuid: UUID,
      name: "NVIDIA H100 80GB HBM3",
      memoryBytes: 80 * GiB,
      usedBytes: GiB,
      utilisation: 0.37,
      temperatureC: 54,
      powerW: 312.45,
    });
  });

  test("what a card does not tell is null", () => {
    const line = `3, ${UUID}, Tesla, [N/A], [Not Supported], [Unknown Error], , -1`;
    expect(parseGpuLine(line)).toEqual({
      ...{ index: 3, uuid: UUID, name: "Tesla" },
      ...{ memoryBytes: null, usedBytes: null, utilisation: null, temperatureC: null, powerW: null },
    });
  });

  test.each([
    "",
    "No devices were found",
    "Unable to determine the device handle for GPU 0000:65:00.0: Unknown Error",
    `x, ${UUID}, name, 1, 1, 1, 1, 1`,
    "0, card, name, 1, 1, 1, 1, 1",
    `0, ${UUID}, name, 1, 1, 1, 1`,
    `0, ${UUID}, name, 1, 1, 1, 1, 1, 1`,
  ])("no card: %s", (line) => {
    expect(parseGpuLine(line)).toBeUndefined();
  });

  test("a process on a card, its memory told or not", () => {
    expect(parseGpuProcessLine(`${UUID}, 4711, 512`)).toEqual({ uuid: UUID, pid: 4711, usedBytes: 512 * MiB });
    expect(parseGpuProcessLine(`${UUID}, 4711, [N/A]`)).toMatchObject({ usedBytes: null });
    expect(parseGpuProcessLine("No running processes found")).toBeUndefined();
  });
});
