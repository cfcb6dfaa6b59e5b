import { describe, expect, test } from "vitest";
import { Metrics } from "../../../../src/platform/metrics.ts";
import { unknownMachine, type MachineReading } from "../../../../src/worker/governor/machine.ts";
import { exposeMachine } from "../../../../src/worker/governor/machine-metrics.ts";
import { keepingLogger } from "../../../support/quiet-logger.ts";

const volume = (freeBytes: number, use: "scratch" | "output") => ({
  ...{ path: "/", deviceId: 1, totalBytes: 100, totalInodes: 50, freeInodes: freeBytes / 2 },
  ...{ freeBytes, use },
});

async function told(machine: Partial<MachineReading>, more: object = {}) {
  const { logger, lines } = keepingLogger();
  const metrics = new Metrics({ version: "1", process: "worker" }, logger);
  const latest = { machine: { ...unknownMachine, ...machine }, ...more };
  exposeMachine(metrics, { latest, statuses: () => [] } as never);
  await metrics.expose();
  const text = await metrics.expose();
  // A collector that throws is logged, and the metrics after it are missing.
  expect(lines()).toEqual([]);
  return text.split("\n").filter((line) => /^headroom_(volume|gpu|pressure|cpu_throttled|power)/.test(line));
}

describe("metrics of the machine", () => {
  test("tell of the fullest volume of each use, and how large that one is", async () => {
    const volumes = [volume(40, "scratch"), volume(90, "output"), { ...volume(10, "output"), totalBytes: 80 }];
    expect(await told({ volumes })).toEqual([
      'headroom_volume_free_bytes{use="scratch"} 40',
      'headroom_volume_free_bytes{use="output"} 10',
      'headroom_volume_bytes{use="scratch"} 100',
      'headroom_volume_bytes{use="output"} 80',
      'headroom_volume_free_inodes{use="scratch"} 20',
      'headroom_volume_free_inodes{use="output"} 5',
    ]);
  });

  test("tell of what there is, with labels and without, again and again", async () => {
    const pressure = { memorySome: 0.25 };
    expect(await told({ watts: 90 }, { pressure, cpu: { throttled: 0.5 } })).toEqual([
      "headroom_cpu_throttled_ratio 0.5",
      'headroom_pressure_ratio{resource="memory",kind="some"} 0.25',
      "headroom_power_watts 90",
    ]);
  });

  test("tell of the cards that are lost, for as long as they are", async () => {
    const { logger } = keepingLogger();
    const metrics = new Metrics({ version: "1", process: "worker" }, logger);
    const card = { memoryBytes: null, usedBytes: null, utilisation: null, temperatureC: null, powerW: null };
    let gpus: object[] = [];
    const sensor = {
      get latest() {
        return { machine: { ...unknownMachine, gpus } };
      },
      statuses: () => [],
    };
    exposeMachine(metrics, sensor as never);
    const lost = async () => /^headroom_gpus_lost(?:\{.*\})? (\d+)$/m.exec(await metrics.expose())?.[1];
    const see = (count: number) => {
      gpus = Array.from({ length: count }, (_one, index) => ({ ...card, index, processes: [] }));
      return lost();
    };
    expect(await see(0)).toBeUndefined();
    expect([await see(1), await see(2)]).toEqual(["0", "0"]);
    expect([await see(1), await see(1), await see(0), await see(2)]).toEqual(["1", "1", "2", "0"]);
  });

  test("tell nothing of what is not known", async () => {
    expect(await told({})).toEqual([]);
  });
});
