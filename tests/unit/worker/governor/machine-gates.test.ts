import { describe, expect, test } from "vitest";
import { GiB, MiB } from "../../../../src/contract/resources.ts";
import { decideAdmission } from "../../../../src/worker/governor/admission.ts";
import type { AdmissionView, GpuToken, Request } from "../../../../src/worker/governor/admission-view.ts";
import type { CapacityReading } from "../../../../src/worker/governor/capacity.ts";
import { GateKeeper } from "../../../../src/worker/governor/gate-keeper.ts";
import { decideHold, type MachineLimits } from "../../../../src/worker/governor/machine-gates.ts";
import { idleView, insideJobOf, jobOf } from "../../../support/admission-views.ts";
import { unknownMachine, type MachineReading } from "../../../../src/worker/governor/machine.ts";

const calm: CapacityReading = {
  atMs: 0,
  memoryBytes: GiB,
  memory: [{ name: "host", limitBytes: GiB, usedBytes: 0 }],
  cpuCores: 4,
  cpu: undefined,
  pressure: undefined,
  machine: unknownMachine,
  degraded: [],
};

const job = jobOf(MiB);

/** A worker with four cores, seen again and again. */
class Worker {
  readonly #keeper: GateKeeper;
  #nowMs = 0;
  #running = 0;
  #view: AdmissionView | undefined;

  constructor(limits: MachineLimits = {}) {
    this.#keeper = new GateKeeper(undefined, limits);
  }

  /** Reads this for some seconds, and asks for one more job. */
  see(machine: Partial<MachineReading>, facts: { seconds?: number; running?: number; ioFull?: number } = {}): string {
    const { seconds = 0, running = this.#running, ioFull } = facts;
    this.#running = running;
    const pressure = { scope: "host", memorySome: 0, memoryFull: 0, cpuSome: 0 } as const;
    for (let tick = 0; tick <= seconds * 10; tick += 1) {
      this.#nowMs += 100;
      const reading: CapacityReading = {
        ...calm,
        atMs: this.#nowMs,
        machine: { ...unknownMachine, ...machine },
        ...(ioFull !== undefined && { pressure: { ...pressure, ioFull } }),
      };
      this.#keeper.update(reading, { processes: running, maxProcesses: 64 });
      this.#view = this.#viewOf(reading, running);
    }
    return this.ask(job);
  }

  ask(request: Request, view: Partial<AdmissionView> = {}): string {
    if (this.#view === undefined) throw new Error("nothing was seen yet");
    const answer = decideAdmission(request, { ...this.#view, ...view });
    return answer.kind === "admit" ? "admit" : `${answer.code}: ${answer.message}`;
  }

  #viewOf(reading: CapacityReading, running: number): AdmissionView {
    return {
      ...{ ...idleView, memory: reading.memory, memoryThreshold: 0.9, isMemoryThresholdSet: false },
      ...{ cpuCores: 64, maxProcesses: 64 },
      reserved: { cpuCores: running, processes: running, insideCores: 0 },
      gates: this.#keeper.state(reading, this.#nowMs, running),
    };
  }
}

const volume = (freeBytes: number, freeInodes = 1e6): Partial<MachineReading> => ({
  volumes: [{ path: "/out", use: "output", totalBytes: 100 * GiB, freeBytes, totalInodes: 6e6, freeInodes }],
});

describe("room", () => {
  test("of a volume: closes below the reserve, opens clearly above, counts what will be written", () => {
    const worker = new Worker();
    expect(worker.see(volume(257 * MiB))).toBe("admit");
    expect(worker.ask({ ...job, diskBytes: 2 * MiB })).toMatch(/^DISK_SPACE: 257 MiB is free at \/out, 2 MiB more/);
    expect(worker.ask(job, { promisedDiskBytes: 2 * MiB })).toMatch(/^DISK_SPACE/);
    expect(worker.see(volume(255 * MiB))).toBe("DISK_SPACE: 255 MiB is free at /out, 320 MiB must stay free");
    expect(worker.see(volume(300 * MiB))).toMatch(/^DISK_SPACE/);
    expect(worker.see(volume(321 * MiB))).toBe("admit");
  });

  test("of a small volume is a share of it, unless a person says how much", () => {
    const small = { volumes: [{ ...volume(6 * MiB).volumes?.[0], totalBytes: 100 * MiB }] } as Partial<MachineReading>;
    expect(new Worker().see(small)).toBe("admit");
    expect(new Worker({ diskFreeBytes: 10 * MiB }).see(small)).toMatch(/^DISK_SPACE/);
    expect(new Worker({ diskFreeBytes: 0 }).see(volume(0))).toBe("admit");
  });

  test("for file names, where the file system has a number of them", () => {
    expect(new Worker().see(volume(GiB, 999))).toBe(
      "DISK_INODES: 999 more files can be made at /out, 1250 must stay free",
    );
    const none = { volumes: [{ path: "/out", use: "output", totalBytes: GiB, freeBytes: GiB }] };
    expect(new Worker().see(none as unknown as Partial<MachineReading>)).toBe("admit");
  });

  test("for processes and descriptors, of the level with the least", () => {
    const processes = [
      { name: "host", limit: 32_768, used: 400 },
      { name: "cgroup /pod", limit: 100, used: 95 },
    ];
    expect(new Worker().see({ processes })).toMatch(/^PIDS: 5 more processes .* \(limit of the cgroup \/pod\), 5 must/);
    expect(new Worker().see({ files: [{ name: "process", limit: 1_024, used: 960 }] })).toMatch(/^FILES: 64 more/);
    expect(new Worker().see({ files: [{ name: "process", limit: 1_024, used: 900 }] })).toBe("admit");
  });

  test("does not hold back work inside the worker: a run must be able to end", () => {
    const worker = new Worker();
    worker.see({ ...volume(0, 0), processes: [{ name: "host", limit: 10, used: 10 }] });
    expect(worker.ask(insideJobOf(MiB))).toBe("admit");
  });
});

describe("stalls for disks", () => {
  test("hold the number of processes, never under one per core, until they are clearly gone", () => {
    const worker = new Worker();
    expect(worker.see({}, { ioFull: 0.9, seconds: 1, running: 9 })).toBe("admit");
    expect(worker.see({}, { ioFull: 0.9, seconds: 2 })).toMatch(/^PSI_IO: .* 90 % of the time; held to 9 processes/);
    expect(worker.see({}, { ioFull: 0.4, seconds: 5, running: 8 })).toBe("admit");
    expect(worker.see({}, { ioFull: 0.4, running: 9 })).toMatch(/^PSI_IO/);
    expect(worker.see({}, { ioFull: 0.1, seconds: 3 })).toBe("admit");
    expect(worker.see({}, { ioFull: 0.9, seconds: 5, running: 1 })).toBe("admit");
  });

  test("hold what runs once a person has said how much is too much", () => {
    expect(new Worker({ ioPressure: 0.3 }).see({}, { ioFull: 0.35, seconds: 3, running: 1 })).toMatch(/held to 1 proc/);
  });

  test("a moment is no reason, and what cannot be measured holds nobody", () => {
    const held = { allowed: 3, sinceMs: undefined };
    const input = { closeAt: 0.6, openAt: 0.3, floor: 1, runningProcesses: 3, nowMs: 0 };
    expect(decideHold(held, { ...input, value: undefined }).allowed).toBeUndefined();
    const began = decideHold({ allowed: undefined, sinceMs: undefined }, { ...input, value: 0.7 });
    expect(decideHold(began, { ...input, value: 0.5, nowMs: 1_000 }).sinceMs).toBeUndefined();
  });
});

describe("heat and power", () => {
  const heat = (celsius: number, throttlesPerSecond = 0, criticalCelsius?: number): Partial<MachineReading> => ({
    heat: { sensors: [{ name: "pkg", celsius, criticalCelsius }], throttlesPerSecond },
  });

  test("a temperature at its cap closes the gate until it is five degrees cooler", () => {
    const worker = new Worker({ maxCelsius: 80 });
    expect(worker.see(heat(79.9))).toBe("admit");
    expect(worker.see(heat(80))).toBe("HOT: pkg is at 80 °C, the cap is 80 °C");
    expect(worker.see(heat(76))).toMatch(/^HOT/);
    expect(worker.see(heat(74))).toBe("admit");
  });

  test("without a cap, the machine's own limit is one", () => {
    expect(new Worker().see(heat(101))).toBe("admit");
    expect(new Worker().see(heat(101, 0, 105))).toBe("admit");
    expect(new Worker().see(heat(102, 0, 105))).toMatch(/^HOT: .*the cap is 102/);
  });

  test("a card counts too", () => {
    const gpu = { index: 1, uuid: "GPU-1", name: "x", temperatureC: 91 };
    const machine = {
      gpus: [{ ...gpu, memoryBytes: null, usedBytes: null, utilisation: null, powerW: null, processes: [] }],
    };
    expect(new Worker({ maxCelsius: 90 }).see(machine)).toMatch(/^HOT: GPU 1 is at 91/);
  });

  test("CPUs that slow down hold the number of processes", () => {
    const worker = new Worker();
    expect(worker.see(heat(90, 3), { seconds: 3, running: 6 })).toMatch(/^HOT: CPUs slow down .* held to 6 processes/);
    expect(worker.see(heat(90, 3), { running: 5 })).toBe("admit");
    expect(worker.see(heat(90, 0), { seconds: 3, running: 6 })).toBe("admit");
  });

  test("power above its cap lowers the number step by step, never under one", () => {
    const worker = new Worker({ maxWatts: 100 });
    expect(worker.see({ watts: 90 }, { running: 8 })).toBe("admit");
    expect(worker.see({ watts: 130 }, { running: 8 })).toMatch(/^POWER: 130 W are drawn, the cap is 100 W; held to 8/);
    expect(worker.see({ watts: 130 }, { running: 8, seconds: 2 })).toMatch(/held to 6 processes/);
    expect(worker.see({ watts: 500 }, { running: 1, seconds: 60 })).toMatch(/held to 1 processes/);
    expect(worker.see({ watts: 500 }, { running: 0 })).toBe("admit");
    expect(new Worker().see({ watts: 1e6 }, { running: 8 })).toBe("admit");
  });

  test("power counts what the cards draw, also where no processor tells", () => {
    const card = (index: number, powerW: number | null) => ({
      ...{ index, uuid: `GPU-${index}`, name: "card", memoryBytes: GiB, usedBytes: 0, utilisation: 0 },
      ...{ temperatureC: 50, powerW, processes: [] },
    });
    const gpus = [card(0, 300), card(1, null)];
    expect(new Worker({ maxWatts: 350 }).see({ watts: 90, gpus }, { running: 8 })).toMatch(/^POWER: 390 W are drawn/);
    expect(new Worker({ maxWatts: 350 }).see({ gpus }, { running: 8 })).toBe("admit");
    expect(new Worker({ maxWatts: 250 }).see({ gpus }, { running: 8 })).toMatch(/^POWER: 300 W are drawn/);
  });
});

describe("GPUs", () => {
  const wish = { ...job, gpu: { memoryBytes: GiB, isDeclared: true } };
  const token = (freeBytes: number, isTaken = false): GpuToken => ({
    ...{ index: 0, uuid: "GPU-0", totalBytes: 8 * GiB, freeBytes, isTaken, takenBy: undefined },
  });
  const rows: [string, readonly GpuToken[], string | RegExp][] = [
    ["none to be seen", [], "GPU: needs a GPU, none can be seen now"],
    ["all taken", [token(8 * GiB, true)], "GPU: needs a GPU, all 1 are taken by jobs"],
    ["one free", [token(8 * GiB, true), token(GiB)], "admit"],
    ["one free that others have filled", [token(MiB)], /^GPU_MEM: needs 1024 MiB .* 1 MiB is free/],
    ["one that does not tell its memory", [token(Infinity)], "admit"],
  ];
  test.each(rows)("%s", (_name, gpus, expected) => {
    const worker = new Worker();
    worker.see({});
    expect(worker.ask(wish, { gpus })).toMatch(expected);
    expect(worker.ask(job, { gpus })).toBe("admit");
  });

  test("what was learned asks for no more than a card has, what was declared is told to be too much", () => {
    const worker = new Worker();
    worker.see({});
    const gpus = [token(7.5 * GiB)];
    expect(worker.ask({ ...job, gpu: { memoryBytes: 9 * GiB, isDeclared: false } }, { gpus })).toBe("admit");
    expect(worker.ask({ ...job, gpu: { memoryBytes: 9 * GiB, isDeclared: true } }, { gpus })).toBe(
      "GPU_MEM: needs 9216 MiB of GPU memory, the largest card has 8192 MiB",
    );
    expect(
      worker.ask({ ...job, gpu: { memoryBytes: 9 * GiB, isDeclared: false } }, { gpus: [token(6 * GiB)] }),
    ).toMatch(/^GPU_MEM: needs 737\d.*6144 MiB is free/);
  });

  test("what an engine keeps on a card is free for jobs like its last, and for no other", () => {
    const worker = new Worker();
    worker.see({});
    const kept = { queue: "infer.gpu@10", kind: "a", bytes: 6 * GiB };
    const gpus = [{ ...token(GiB), kept }];
    const asks = (about: Partial<Request>) =>
      worker.ask({ ...job, ...about, gpu: { memoryBytes: 6 * GiB, isDeclared: false } }, { gpus });
    expect(asks({ queue: "infer.gpu@10", kind: "a" })).toBe("admit");
    expect(asks({ queue: "infer.gpu@10", kind: "b" })).toMatch(/^GPU_MEM/);
    expect(asks({ queue: "infer.gpu@12" })).toMatch(/^GPU_MEM/);
  });
});
