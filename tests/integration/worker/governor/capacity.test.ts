import { rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { KiB, MiB } from "../../../../src/contract/resources.ts";
import { CapacitySensor, createProbes } from "../../../../src/worker/governor/capacity.ts";
import { systemRoots } from "../../../../src/worker/governor/probes/probe.ts";
import { FakeMachine, V1_NONE } from "../../../support/fake-machine.ts";

const LIMIT = 512 * MiB;

function open(machine: FakeMachine): CapacitySensor & Disposable {
  const sensor = new CapacitySensor(createProbes(machine.roots));
  return Object.assign(sensor, {
    [Symbol.dispose]: () => {
      sensor.close();
    },
  });
}

const none = () => 0;

/** A machine, and the limit that must be told for it. */
const limits: [string, () => FakeMachine, number][] = [
  [
    "version 2",
    () => {
      const machine = new FakeMachine(["0::/app"]);
      machine.v2("app", { max: String(LIMIT) });
      return machine;
    },
    LIMIT,
  ],
  [
    "version 2 with a tighter parent",
    () => {
      const machine = new FakeMachine(["0::/pod/box/app"]);
      machine.v2("pod", { max: String(LIMIT) });
      machine.v2("pod/box", { max: String(2 * LIMIT) });
      machine.v2("pod/box/app", {});
      return machine;
    },
    LIMIT,
  ],
  [
    "version 2 with memory.high below memory.max",
    () => {
      const machine = new FakeMachine(["0::/app"]);
      machine.v2("app", { max: String(2 * LIMIT), high: String(LIMIT) });
      return machine;
    },
    LIMIT,
  ],
  [
    "version 2 mounted at the container's own cgroup",
    () => {
      const machine = new FakeMachine(["0::/"]);
      machine.v2("/", { max: String(LIMIT) });
      return machine;
    },
    LIMIT,
  ],
  [
    "version 1",
    () => {
      const machine = new FakeMachine(["4:memory:/app", "1:cpu:/app"]);
      machine.v1("app", { limit: String(LIMIT), hierarchical: String(LIMIT) });
      return machine;
    },
    LIMIT,
  ],
  [
    "version 1 under a limit that only the kernel's minimum shows",
    () => {
      const machine = new FakeMachine(["4:memory:/app"]);
      machine.v1("app", { limit: V1_NONE, hierarchical: String(LIMIT) });
      return machine;
    },
    LIMIT,
  ],
  [
    "version 1 that tells the path of the host",
    () => {
      const machine = new FakeMachine(["4:memory:/docker/0123/app"]);
      machine.v1("app", { limit: String(LIMIT) });
      return machine;
    },
    LIMIT,
  ],
  [
    "version 1 beside version 2 (hybrid)",
    () => {
      const machine = new FakeMachine(["4:memory:/app", "0::/app"]);
      machine.write("cgroup/unified/cgroup.controllers", "\n");
      machine.v1("app", { limit: String(LIMIT) });
      return machine;
    },
    LIMIT,
  ],
  [
    "version 1 without a limit",
    () => {
      const machine = new FakeMachine(["4:memory:/app"]);
      machine.v1("app", { limit: V1_NONE });
      return machine;
    },
    24_684_092 * KiB,
  ],
  ["no cgroup at all", () => new FakeMachine([]), 24_684_092 * KiB],
  [
    "a limit above what the host has",
    () => {
      const machine = new FakeMachine(["0::/app"], { totalKiB: 1_000_000 });
      machine.v2("app", { max: String(64 * 1024 * MiB) });
      return machine;
    },
    1_000_000 * KiB,
  ],
];

describe("memory", () => {
  test.each(limits)("tells the limit exactly: %s", (_name, create, expected) => {
    using machine = create();
    using sensor = open(machine);
    const reading = sensor.read(0, none);
    expect(reading.memoryBytes).toBe(expected);
    expect(reading.degraded).toEqual([]);
  });

  test("counts no page cache that can be dropped", () => {
    using machine = new FakeMachine(["0::/app"]);
    machine.v2("app", { max: String(LIMIT), current: 450 * MiB, inactiveFile: 400 * MiB });
    using sensor = open(machine);
    expect(sensor.read(0, none).memory[0]).toMatchObject({ usedBytes: 50 * MiB });
  });

  test("reads the host beside the cgroup", () => {
    using machine = new FakeMachine(["4:memory:/app"], { totalKiB: 1_000, availableKiB: 100 });
    machine.v1("app", { limit: String(LIMIT), usage: 30, inactiveFile: 10 });
    using sensor = open(machine);
    expect(sensor.read(0, none).memory).toEqual([
      { name: "cgroup /memory/app", limitBytes: LIMIT, usedBytes: 20 },
      { name: "host", limitBytes: 1_000 * KiB, usedBytes: 900 * KiB },
    ]);
  });

  test("sees a limit that is changed while it runs", () => {
    using machine = new FakeMachine(["0::/app"]);
    machine.v2("app", { max: String(LIMIT) });
    using sensor = open(machine);
    expect(sensor.read(0, none).memoryBytes).toBe(LIMIT);
    machine.v2("app", { max: String(LIMIT / 2) });
    expect(sensor.read(100, none).memoryBytes).toBe(LIMIT / 2);
  });

  test("a probe that fails is named, the others go on, and it is tried again", () => {
    using machine = new FakeMachine(["0::/app"]);
    machine.v2("app", { max: String(LIMIT) });
    machine.write("cgroup/app/memory.current", "nonsense");
    using sensor = open(machine);
    const reading = sensor.read(0, none);
    expect(reading.memoryBytes).toBe(24_684_092 * KiB);
    expect(reading.degraded).toMatchObject([{ code: "NO_SENSOR", sensor: "cgroup memory" }]);
    expect(reading.degraded[0]?.message).toMatch(/expected a number in .*memory\.current, found "nonsense"/);
    machine.write("cgroup/app/memory.current", "7");
    expect(sensor.read(6_000, none)).toMatchObject({ memoryBytes: LIMIT, degraded: [] });
  });

  test("without any file of the kernel, the runtime's figures stand in and it says so", () => {
    using machine = new FakeMachine([]);
    rmSync(join(machine.roots.proc), { recursive: true });
    using sensor = open(machine);
    const reading = sensor.read(0, none);
    expect(reading.memoryBytes).toBeGreaterThan(0);
    expect(reading.degraded).toMatchObject([{ code: "NO_SENSOR", sensor: "memory" }]);
  });
});

describe("cpu", () => {
  const quotas: [string, () => FakeMachine, number][] = [
    [
      "a fraction of a core (version 2)",
      () => {
        const machine = new FakeMachine(["0::/pod/app"]);
        machine.write("cgroup/cgroup.controllers", "cpu\n");
        machine.write("cgroup/pod/cpu.max", "150000 100000\n");
        machine.write("cgroup/pod/cpu.stat", "usage_usec 0\n");
        machine.write("cgroup/pod/app/cpu.max", "max 100000\n");
        return machine;
      },
      1.5,
    ],
    [
      "a quota of version 1",
      () => {
        const machine = new FakeMachine(["1:cpu:/app", "2:cpuacct:/app"]);
        machine.write("cgroup/cpu/app/cpu.cfs_quota_us", "50000\n");
        machine.write("cgroup/cpu/app/cpu.cfs_period_us", "100000\n");
        machine.write("cgroup/cpuacct/app/cpuacct.usage", "0\n");
        return machine;
      },
      0.5,
    ],
    ["an affinity", () => new FakeMachine([], { cpus: 8, allowed: "0,2-3" }), 3],
    [
      "a cpuset",
      () => {
        const machine = new FakeMachine(["0::/app"], { cpus: 8 });
        machine.write("cgroup/cgroup.controllers", "cpuset\n");
        machine.write("cgroup/app/cpuset.cpus.effective", "4-5\n");
        return machine;
      },
      2,
    ],
    ["a list that names CPUs that are off", () => new FakeMachine([], { cpus: 2, allowed: "0-127" }), 2],
  ];
  test.each(quotas)("tells the cores: %s", (_name, create, expected) => {
    using machine = create();
    using sensor = open(machine);
    expect(sensor.read(0, none)).toMatchObject({ cpuCores: expected, degraded: [] });
  });

  test("measures the load over its own window, and tells ours from that of others", () => {
    using machine = new FakeMachine([], { cpus: 2 });
    using sensor = open(machine);
    sensor.read(0, none);
    machine.busy([100, 50]);
    expect(sensor.read(1_000, () => 500).cpu).toEqual({ utilisation: 0.75, others: 0.5 });
  });

  test("a quota that is used up counts as full, however idle the host is", () => {
    using machine = new FakeMachine(["0::/app"]);
    machine.write("cgroup/cgroup.controllers", "cpu\n");
    machine.write("cgroup/app/cpu.max", "50000 100000\n");
    machine.write("cgroup/app/cpu.stat", "usage_usec 0\nuser_usec 0\n");
    using sensor = open(machine);
    sensor.read(0, none);
    machine.write("cgroup/app/cpu.stat", "usage_usec 500000\nuser_usec 0\n");
    expect(sensor.read(1_000, () => 500).cpu).toMatchObject({ utilisation: 1, others: 0 });
  });
});

describe("pressure", () => {
  test("is the share of our own window in which tasks were stalled", () => {
    using machine = new FakeMachine(["0::/app"]);
    machine.write("cgroup/cgroup.controllers", "\n");
    const stalls = (some: number, full: number) => {
      const text = `some avg10=0.00 avg60=0.00 avg300=0.00 total=${some}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=${full}\n`;
      machine.write("cgroup/app/memory.pressure", text);
      machine.write("cgroup/app/cpu.pressure", text);
    };
    stalls(0, 0);
    using sensor = open(machine);
    sensor.read(0, none);
    stalls(100_000, 50_000);
    expect(sensor.read(500, none).pressure).toEqual({
      scope: "cgroup",
      memorySome: 0.2,
      memoryFull: 0.1,
      cpuSome: 0.2,
    });
  });

  test("is unknown where the kernel does not tell it", () => {
    using machine = new FakeMachine([]);
    using sensor = open(machine);
    expect(sensor.read(0, none)).toMatchObject({ pressure: undefined, degraded: [] });
  });
});

test("this very machine is read without a fault", () => {
  const sensor = new CapacitySensor(createProbes(systemRoots));
  const reading = sensor.read(0, none);
  sensor.close();
  expect(reading.degraded).toEqual([]);
  expect(reading.cpuCores).toBeGreaterThan(0);
  for (const level of reading.memory) expect(level.usedBytes).toBeLessThan(level.limitBytes);
});
