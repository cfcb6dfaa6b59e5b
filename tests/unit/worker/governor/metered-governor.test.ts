/** What the governor of a worker costs it. */
import { expect, test } from "vitest";
import { MiB } from "../../../../src/contract/resources.ts";
import { CapacitySensor } from "../../../../src/worker/governor/capacity.ts";
import { MeteredGovernor } from "../../../../src/worker/governor/metered-governor.ts";
import type { Probe } from "../../../../src/worker/governor/probes/probe.ts";
import { quietLogger } from "../../../support/quiet-logger.ts";
import { SteppedClock } from "../../../support/stepped-clock.ts";

function probeOf<T>(name: string, read: () => T): Probe<T> {
  return {
    ...{ name, mode: "inline", periodMs: 0, staleMs: Infinity, read },
    ...{ open: () => true, close: () => undefined },
  };
}

const noPressure = { scope: "host", memorySomeSeconds: 0, memoryFullSeconds: 0, cpuSomeSeconds: 0 } as const;

test("each piece of work is counted once, with what is asked for within it", () => {
  const clock = new SteppedClock();
  const spent: number[] = [];
  const governor: MeteredGovernor = new MeteredGovernor(
    {
      ...{ clock, logger: quietLogger, act: () => undefined },
      metrics: { decided: () => undefined, stepped: () => undefined },
      sensor: new CapacitySensor({
        memory: [probeOf("memory", () => [{ name: "cgroup", limitBytes: 4_096 * MiB, usedBytes: 0 }])],
        cpu: probeOf("cpu", () => ({ cores: 2, sources: [], throttledSeconds: undefined })),
        pressure: probeOf("pressure", () => noPressure),
      }),
      processes: {
        ...{
          watch: () => undefined,
          unwatch: () => undefined,
          close: () => undefined,
          readOwnCpuMs: () => 0,
          pidsOf: () => [],
        },
        read: () => {
          clock.pass(7);
          governor.snapshot();
          return [];
        },
      },
    },
    { labels: [] },
    (seconds) => spent.push(seconds),
  );
  governor.tick();
  expect(spent).toEqual([0.007]);
  const need = { memoryBytes: MiB, cpuCores: 1, processes: 1 };
  expect(governor.tryReserve({ queue: "exec.default@10", need, labels: [] }).kind).toBe("admit");
  governor.snapshot();
  governor.check({ queue: "exec.default@10", need, labels: [] });
  expect(spent).toEqual([0.007, 0, 0, 0]);
});
