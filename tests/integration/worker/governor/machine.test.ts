import { chmodSync, rmSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { GiB, MiB } from "../../../../src/contract/resources.ts";
import { CapacitySensor, createProbes, type CapacityReading } from "../../../../src/worker/governor/capacity.ts";
import type { MachineReading } from "../../../../src/worker/governor/machine.ts";
import { GpuProbe } from "../../../../src/worker/governor/probes/gpu.ts";
import { UserProcessesProbe } from "../../../../src/worker/governor/probes/user-processes.ts";
import { VolumeProbe, type FileSystemFigures } from "../../../../src/worker/governor/probes/volume.ts";
import { Volumes } from "../../../../src/worker/governor/volumes.ts";
import { FakeMachine } from "../../../support/fake-machine.ts";

const none = () => 0;

function openMachine(paths: readonly string[] = []): FakeMachine {
  const machine = new FakeMachine(paths);
  onTestFinished(() => {
    machine[Symbol.dispose]();
  });
  return machine;
}

function openSensor(machine: FakeMachine): CapacitySensor {
  const gpu = new GpuProbe({ driverFiles: [] });
  const sensor = new CapacitySensor(createProbes(machine.roots, { scratch: machine.path(), gpu }));
  onTestFinished(() => {
    sensor.close();
  });
  return sensor;
}

/**
 * When the sensor's clock goes on by the quarter of a second after which it looks at the machine again, in ms of the
 * wall: an answer that takes long on a busy machine finds the clock of the sensor hardly moved.
 */
const LOOKS_MS = [0, 2, 20, 200, 2_000, 8_000, 20_000];

/** Reads on until what is read off the tick says what it must. The sensor's clock goes on by a second and a half at most. */
async function readUntil(
  sensor: CapacitySensor,
  startMs: number,
  isThere: (machine: MachineReading) => boolean,
): Promise<CapacityReading> {
  const begunMs = performance.now();
  let reading: CapacityReading | undefined;
  for (const [look, dueMs] of LOOKS_MS.entries()) {
    while (performance.now() - begunMs < dueMs) await turn();
    reading = sensor.read(startMs + 250 * look, none);
    if (isThere(reading.machine)) return reading;
  }
  throw new Error(`not there: ${JSON.stringify(reading?.machine)}`);
}

describe("disks", () => {
  test("tells bytes, operations and the busiest disk of the host, without counting anything twice", () => {
    const machine = openMachine();
    const sensor = openSensor(machine);
    machine.disks({ sda: [0, 0, 0, 0, 0], sda1: [0, 0, 0, 0, 0], nvme0n1: [0, 0, 0, 0, 0], "dm-0": [0, 0, 0, 0, 0] });
    expect(sensor.read(0, none).machine.disks).toEqual([]);
    machine.disks({
      sda: [10, 2_000, 20, 4_000, 900],
      sda1: [10, 2_000, 20, 4_000, 900],
      nvme0n1: [0, 0, 30, 2_000, 100],
      "dm-0": [10, 2_000, 50, 6_000, 990],
    });
    expect(sensor.read(1_000, none).machine.disks).toEqual([
      { scope: "host", readBytes: 1_024_000, writtenBytes: 3_072_000, operations: 60, busy: 0.9 },
    ]);
  });

  test.each([
    ["version 2", "0::/app", "cgroup/app/io.stat", "8:0 rbytes=R wbytes=W rios=1 wios=2 dbytes=0 dios=0\n"],
    ["version 1", "3:blkio:/app", "cgroup/blkio/app/blkio.throttle.io_service_bytes", "8:0 Read R\n8:0 Write W\n"],
  ])("tells what this cgroup does: %s", (_name, line, path, text) => {
    const machine = openMachine([line]);
    machine.write("cgroup/cgroup.controllers", "io\n");
    const write = (read: number, written: number) => {
      machine.write(
        path,
        text
          .replace("R\n", `${read}\n`)
          .replace("W\n", `${written}\n`)
          .replace("=R", `=${read}`)
          .replace("=W", `=${written}`),
      );
    };
    write(0, 0);
    const sensor = openSensor(machine);
    sensor.read(0, none);
    write(500, 700);
    expect(sensor.read(1_000, none).machine.disks).toMatchObject([
      { scope: "cgroup", readBytes: 500, writtenBytes: 700 },
    ]);
  });

  test("a file that lies takes nothing from the others", () => {
    const machine = openMachine();
    machine.write("proc/diskstats", "   8  0 sda ten 0 x 0 0 0 0 0 0 0\n");
    const { machine: reading, degraded } = openSensor(machine).read(0, none);
    expect(reading.disks).toEqual([]);
    expect(degraded).toMatchObject([{ sensor: "disk io" }]);
    expect(degraded[0]?.message).toMatch(/expected counters of the disk sda/);
  });
});

describe("volumes", () => {
  const figures = (free: number): FileSystemFigures => ({
    bsize: 4_096,
    blocks: 1_000,
    bavail: free,
    files: 0,
    ffree: 0,
  });

  test("tells the room of the scratch folder, and of an output folder once a job writes there", async () => {
    const machine = openMachine();
    machine.write("out/x", "");
    const sensor = openSensor(machine);
    const reading = await readUntil(sensor, 0, ({ volumes }) => volumes.length === 1);
    expect(reading.machine.volumes).toMatchObject([{ path: machine.path(), use: "scratch" }]);
    expect(reading.machine.volumes[0]?.freeBytes).toBeGreaterThan(0);
    expect(reading.machine.volumes[0]?.freeInodes).toBeGreaterThan(0);
    sensor.useVolume(machine.path("out"));
    const both = await readUntil(sensor, 2_000, ({ volumes }) => volumes.length === 2);
    expect(both.machine.volumes[1]).toMatchObject({ path: machine.path("out"), use: "output" });
  });

  test("asks for the folder above while an output folder is not made yet", async () => {
    const machine = openMachine();
    const sensor = openSensor(machine);
    sensor.useVolume(machine.path("not", "made", "yet"));
    const { machine: reading, degraded } = await readUntil(sensor, 0, ({ volumes }) => volumes.length === 2);
    expect(reading.volumes[1]?.totalBytes).toBe(reading.volumes[0]?.totalBytes);
    expect(degraded).toEqual([]);
  });

  test("an error of the file system is told, and the room is read again once it is over", async () => {
    let failure: Error | undefined = Object.assign(new Error("EIO: i/o error"), { code: "EIO" });
    const volumes = new Volumes("/bad", () =>
      failure === undefined ? Promise.resolve(figures(3)) : Promise.reject(failure),
    );
    volumes.poll(0);
    await turn();
    expect(volumes.statuses(10)).toMatchObject([{ state: "degraded", reason: "EIO: i/o error" }]);
    failure = undefined;
    volumes.poll(1_000);
    await turn();
    expect(volumes.latest(1_000)).toMatchObject([{ freeBytes: 3 * 4_096 }]);
  });

  test("a file system that never answers holds nobody, is named, and is asked once only", async () => {
    let asked = 0;
    const volumes = new Volumes("/scratch", (path) => {
      if (path === "/scratch") return Promise.resolve(figures(10));
      asked += 1;
      return new Promise(() => undefined);
    });
    volumes.use("/dead", 0);
    for (let nowMs = 0; nowMs <= 20_000; nowMs += 250) {
      volumes.poll(nowMs);
      await turn();
    }
    expect(asked).toBe(1);
    expect(volumes.latest(20_000)).toMatchObject([{ path: "/scratch", freeBytes: 40_960, freeInodes: undefined }]);
    const dead = volumes.statuses(20_000).find(({ name }) => name === "volume /dead");
    expect(dead).toMatchObject({
      state: "degraded",
      reason: "the file system has still not answered the last question",
    });
  });

  test("when several do not answer, no further thread is given away; when one does, it is read again", async () => {
    const answers: ((value: FileSystemFigures) => void)[] = [];
    const hanging = new Set<VolumeProbe>();
    const ask = () => new Promise<FileSystemFigures>((resolve) => answers.push(resolve));
    const aborts = [new AbortController(), new AbortController()];
    const reads = aborts.map(({ signal }, at) => new VolumeProbe(`/dead/${at}`, hanging, ask).read(signal));
    for (const abort of aborts) abort.abort();
    const third = new VolumeProbe("/third", hanging, ask);
    const signal = new AbortController().signal;
    await expect(third.read(signal)).rejects.toThrow(/too many other file systems/);
    answers[0]?.(figures(1));
    await expect(reads[0]).resolves.toMatchObject({ freeBytes: 4_096 });
    const again = third.read(signal);
    answers[2]?.(figures(2));
    await expect(again).resolves.toMatchObject({ freeBytes: 8_192 });
  });

  test("figures that are none are refused", async () => {
    const probe = new VolumeProbe("/odd", new Set(), () => Promise.resolve(figures(Number.NaN)));
    await expect(probe.read(new AbortController().signal)).rejects.toThrow(/expected sizes of the file system/);
  });

  test("looks at the folders used last, and forgets those that nobody writes to", async () => {
    const asked = new Set<string>();
    const volumes = new Volumes("/scratch", (path) => {
      asked.add(path);
      return Promise.resolve(figures(1));
    });
    for (let at = 0; at < 40; at += 1) volumes.use(`/out/${at}`, at);
    volumes.poll(100);
    await turn();
    expect([...asked]).toEqual(["/scratch", ...Array.from({ length: 15 }, (_, at) => `/out/${at + 25}`)]);
    volumes.poll(1_000_000);
    await turn();
    expect(volumes.latest(1_000_000).map(({ path }) => path)).toEqual(["/scratch"]);
  });
});

describe("processes and files", () => {
  test("tells every limit on processes: of each cgroup above, and of the machine", () => {
    const machine = openMachine(["0::/pod/app"]);
    machine.write("cgroup/cgroup.controllers", "pids\n");
    machine.write("cgroup/pod/pids.max", "100\n");
    machine.write("cgroup/pod/pids.current", "42\n");
    machine.write("cgroup/pod/app/pids.max", "max\n");
    machine.write("cgroup/pod/app/pids.current", "7\n");
    machine.write("proc/loadavg", "1.50 1.00 0.50 2/321 4711\n");
    machine.write("proc/sys/kernel/pid_max", "32768\n");
    machine.write("proc/sys/kernel/threads-max", "16000\n");
    const { processes, load } = openSensor(machine).read(0, none).machine;
    expect(processes).toEqual([
      { name: "cgroup /pod", limit: 100, used: 42 },
      { name: "host", limit: 16_000, used: 321 },
    ]);
    expect(load).toEqual({ average: 1.5, threads: 321 });
  });

  test("counts the threads of one user only when the machine as a whole comes near the limit", async () => {
    const machine = openMachine();
    const uid = process.getuid?.() ?? 0;
    machine.write(
      "proc/self/limits",
      "Limit  Soft Limit  Hard Limit  Units\nMax processes             100                  100                  processes\n",
    );
    machine.write("proc/7/status", "Name:\tx\nThreads:\t30\n");
    machine.write("proc/8/status", "Name:\ty\nThreads:\t12\n");
    machine.write("proc/loadavg", "0.00 0.00 0.00 1/40 9\n");
    // A process of the superuser has no such limit; any other number stands for a user here.
    const probe = new UserProcessesProbe(machine.roots, uid === 0 ? 1 : uid);
    const signal = new AbortController().signal;
    expect(await probe.open()).toBe(true);
    expect(await probe.read(signal)).toEqual({ name: "user", limit: 100, used: 40 });
    machine.write("proc/loadavg", "0.00 0.00 0.00 1/5000 9\n");
    expect((await probe.read(signal)).used).toBe(uid === 0 ? 0 : 42);
    expect(await new UserProcessesProbe(machine.roots, 0).open()).toBe(false);
  });

  test("tells descriptors of this process and of the machine, and takes no limit for none", () => {
    const machine = openMachine();
    machine.write(
      "proc/self/limits",
      "Max open files            1024                 4096                 files     \n",
    );
    for (const fd of [0, 1, 2]) machine.write(`proc/self/fd/${fd}`, "");
    machine.write("proc/sys/fs/file-nr", "856\t0\t2466174\n");
    const sensor = openSensor(machine);
    expect(sensor.read(0, none).machine.files).toEqual([
      { name: "process", limit: 1_024, used: 3 },
      { name: "host", limit: 2_466_174, used: 856 },
    ]);
    machine.write(
      "proc/self/limits",
      "Max open files            unlimited            unlimited            files     \n",
    );
    machine.write("proc/sys/fs/file-nr", "856\t0\t9223372036854775807\n");
    expect(sensor.read(6_000, none).machine.files).toEqual([]);
  });
});

test("network counts what leaves the machine", () => {
  const machine = openMachine();
  const write = (lo: number, received: number, sent: number) => {
    const row = (device: string, in_: number, out: number) => `${device}: ${in_} 1 0 0 0 0 0 0 ${out} 1 0 0 0 0 0 0\n`;
    machine.write(
      "proc/net/dev",
      `Inter-| Receive\n face |bytes\n    ${row("lo", lo, lo)}  ${row("eth0", received, sent)}`,
    );
  };
  write(0, 0, 0);
  const sensor = openSensor(machine);
  sensor.read(0, none);
  write(1e9, 3_000, 500);
  expect(sensor.read(2_000, none).machine.network).toEqual({ receivedBytes: 1_500, sentBytes: 250 });
});

describe("heat and power", () => {
  test("reads zones and chips, skips nonsense and names what is silent", async () => {
    const machine = openMachine();
    machine.write("sys/class/thermal/thermal_zone0/type", "x86_pkg_temp\n");
    machine.write("sys/class/thermal/thermal_zone0/temp", "61000\n");
    machine.write("sys/class/thermal/thermal_zone0/trip_point_0_type", "critical\n");
    machine.write("sys/class/thermal/thermal_zone0/trip_point_0_temp", "105000\n");
    machine.write("sys/class/thermal/thermal_zone1/type", "acpitz\n");
    machine.write("sys/class/thermal/thermal_zone1/temp", "-274000\n");
    machine.write("sys/class/hwmon/hwmon2/name", "nvme\n");
    machine.write("sys/class/hwmon/hwmon2/temp1_input", "38850\n");
    machine.write("sys/class/hwmon/hwmon2/temp1_label", "Composite\n");
    machine.write("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "5\n");
    const sensor = openSensor(machine);
    const { machine: reading } = await readUntil(sensor, 0, ({ heat }) => heat !== undefined);
    expect(reading.heat?.sensors).toEqual([
      { name: "thermal_zone0 x86_pkg_temp", celsius: 61, criticalCelsius: 105 },
      { name: "hwmon2 nvme Composite", celsius: 38.85, criticalCelsius: undefined },
    ]);
    const { degraded } = sensor.read(3_000, none);
    expect(degraded).toMatchObject([{ sensor: "heat", message: "no temperature from thermal_zone1 acpitz" }]);
    machine.write("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "15\n");
    const later = await readUntil(sensor, 5_000, ({ heat }) => (heat?.throttlesPerSecond ?? 0) > 0);
    // Ten in five seconds, give or take the second and a half that either reading may have taken.
    expect(later.machine.heat?.throttlesPerSecond).toBeGreaterThan(10 / 6.5);
    expect(later.machine.heat?.throttlesPerSecond).toBeLessThan(10 / 3.5);
  });

  test("makes watts of energy counters, the parts of a package left out, and rides over one that wraps", async () => {
    const machine = openMachine();
    const energy = (joules: number) => {
      machine.write("sys/class/powercap/intel-rapl:0/energy_uj", `${joules * 1e6}\n`);
    };
    machine.write("sys/class/powercap/intel-rapl:0/name", "package-0\n");
    machine.write("sys/class/powercap/intel-rapl:0/max_energy_range_uj", "262143328850\n");
    machine.write("sys/class/powercap/intel-rapl:0:0/name", "core\n");
    machine.write("sys/class/powercap/intel-rapl:0:0/energy_uj", "5\n");
    energy(1_000);
    const sensor = openSensor(machine);
    for (let nowMs = 0; nowMs < 900; nowMs += 1) {
      sensor.read(nowMs, none);
      await turn();
    }
    energy(1_090);
    const { machine: reading } = await readUntil(sensor, 3_000, ({ watts }) => watts !== undefined);
    // 90 J in three seconds, give or take what the readings took.
    expect(reading.watts).toBeGreaterThanOrEqual(90 / 4.5);
    expect(reading.watts).toBeLessThan(90 / 2.1);
    energy(3);
    await readUntil(sensor, 6_000, ({ watts }) => watts === undefined);
    energy(63);
    const wrapped = await readUntil(sensor, 9_000, ({ watts }) => watts !== undefined);
    expect(wrapped.machine.watts).toBeGreaterThan(10);
    expect(wrapped.machine.watts).toBeLessThan(40);
  });

  test("takes the watts of a sensor chip where no energy is counted", async () => {
    const machine = openMachine();
    machine.write("sys/class/hwmon/hwmon0/power1_average", "95500000\n");
    machine.write("sys/class/hwmon/hwmon0/power1_input", "99000000\n");
    const { machine: reading } = await readUntil(openSensor(machine), 0, ({ watts }) => watts !== undefined);
    expect(reading.watts).toBe(95.5);
  });
});

describe("cpu throttling", () => {
  test.each([
    ["version 2", "throttled_usec", 1e6],
    ["version 1", "throttled_time", 1e9],
  ])("lowers the cores that are promised, and gives them back: %s", (version, key, perSecond) => {
    const isV2 = version === "version 2";
    const machine = openMachine(isV2 ? ["0::/app"] : ["1:cpu:/app", "2:cpuacct:/app"]);
    const stat = (seconds: number) => {
      const folder = isV2 ? "cgroup/app" : "cgroup/cpu/app";
      machine.write(
        `${folder}/cpu.stat`,
        `usage_usec 0\nnr_periods 9\nnr_throttled 3\n${key} ${seconds * perSecond}\n`,
      );
    };
    if (isV2) {
      machine.write("cgroup/cgroup.controllers", "cpu\n");
      machine.write("cgroup/app/cpu.max", "200000 100000\n");
    } else {
      machine.write("cgroup/cpu/app/cpu.cfs_quota_us", "200000\n");
      machine.write("cgroup/cpu/app/cpu.cfs_period_us", "100000\n");
      machine.write("cgroup/cpuacct/app/cpuacct.usage", "0\n");
    }
    stat(0);
    const sensor = openSensor(machine);
    expect(sensor.read(0, none).cpuCores).toBe(2);
    for (let second = 1; second <= 10; second += 1) {
      stat(second * 0.5);
      sensor.read(second * 1_000, none);
    }
    const held = sensor.read(10_100, none);
    expect(held.cpu?.throttled).toBeCloseTo(0.25);
    expect(held.cpuCores).toBeLessThan(1.7);
    expect(held.cpuCores).toBeGreaterThanOrEqual(1);
    for (let second = 11; second <= 60; second += 1) sensor.read(second * 1_000, none);
    expect(sensor.read(61_000, none).cpuCores).toBe(2);
  });
});

test("stalls for disks are told beside the others, or left out where the kernel does not count them", () => {
  const machine = openMachine(["0::/app"]);
  machine.write("cgroup/cgroup.controllers", "\n");
  const stalls = (kind: string, some: number) => {
    machine.write(`cgroup/app/${kind}.pressure`, `some avg10=0.00 total=${some}\nfull avg10=0.00 total=${some / 2}\n`);
  };
  for (const kind of ["memory", "cpu", "io"]) stalls(kind, 0);
  const sensor = openSensor(machine);
  sensor.read(0, none);
  stalls("io", 250_000);
  expect(sensor.read(500, none).pressure).toMatchObject({ ioSome: 0.5, ioFull: 0.25, memorySome: 0 });
  rmSync(machine.path("cgroup/app/io.pressure"));
  sensor.read(6_000, none);
  expect(sensor.read(6_500, none).pressure?.ioSome).toBeUndefined();
});

test("files of the kernel that cannot be read degrade their probe and no other", () => {
  const machine = openMachine(["0::/app"]);
  machine.v2("app", { max: String(512 * MiB) });
  machine.write("proc/net/dev", "Inter\n face\n eth0: many bytes\n");
  machine.write("proc/loadavg", "busy\n");
  machine.write("proc/sys/fs/file-nr", "a b c\n");
  machine.write("cgroup/app/memory.pressure", "nothing\n");
  machine.write("cgroup/app/cpu.pressure", "nothing\n");
  chmodSync(machine.path("proc/loadavg"), 0o000);
  const reading = openSensor(machine).read(0, none);
  expect(reading.memoryBytes).toBe(512 * MiB);
  expect(reading.degraded.map(({ sensor }) => sensor).toSorted()).toEqual([
    "network",
    "open files",
    "pressure",
    "process limits",
  ]);
});

test("limits that change while it runs are seen: processes, cores, memory", () => {
  const machine = openMachine(["0::/app"]);
  machine.v2("app", { max: String(GiB) });
  machine.write("cgroup/app/pids.max", "100\n");
  machine.write("cgroup/app/pids.current", "1\n");
  machine.write("cgroup/app/cpu.max", "100000 100000\n");
  machine.write("cgroup/app/cpu.stat", "usage_usec 0\n");
  const sensor = openSensor(machine);
  expect(sensor.read(0, none)).toMatchObject({ cpuCores: 1, memoryBytes: GiB });
  machine.v2("app", { max: String(GiB / 2) });
  machine.write("cgroup/app/pids.max", "50\n");
  machine.write("cgroup/app/cpu.max", "250000 100000\n");
  const reading = sensor.read(5_500, none);
  expect(reading).toMatchObject({ cpuCores: 2.5, memoryBytes: GiB / 2 });
  expect(reading.machine.processes).toEqual([{ name: "cgroup /app", limit: 50, used: 1 }]);
});
