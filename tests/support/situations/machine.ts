/** Situations in which a machine runs short of something else than memory and cores. */
import { rmSync, writeFileSync } from "node:fs";
import { GpuProbe } from "../../../src/worker/governor/probes/gpu.ts";
import { CARD, FakeGpuMachine } from "../fake-gpu.ts";
import { OUTPUT, roomyDisk, type StagedWorker, type StageOptions } from "../staged-worker.ts";
import { begin, type Situation } from "./situation.ts";

const card = (used: number, celsius = 60) => [`0, ${CARD(0)}, Big Card, 81920, ${used}, 93, ${celsius}, 512.0`];

let gpus: FakeGpuMachine;
/** One card with a driver, or without one yet. */
function withCard(change: StageOptions["config"] = {}, hasDriver = true): StageOptions {
  gpus = new FakeGpuMachine();
  if (hasDriver) writeFileSync(gpus.driver, "");
  gpus.write("cards", card(2_048));
  gpus.write("apps", []);
  const nowMs = () => Number(process.hrtime.bigint()) / 1e6;
  const gpu = new GpuProbe({ driverFiles: [gpus.driver], command: gpus.command, loopMs: 20, nowMs });
  return { gpu, config: { labels: ["gpu"], ...change } };
}
const asksForCard = (stage: StagedWorker) => {
  stage.question = stage.ask(128, { labels: ["gpu"] });
};

export const machine: readonly Situation[] = [
  {
    name: "tasks stall for memory",
    code: "PSI_MEM",
    words: /stalled for memory [23]\d[\d.]* % of the time, all of them 0 %/,
    cause: (stage) => {
      stage.flows.memorySome = 0.3;
    },
    undo: (stage) => {
      stage.flows.memorySome = 0.01;
    },
  },
  {
    name: "all tasks stall for memory at once",
    code: "PSI_MEM",
    words: /stalled for memory [789][\d.]* % of the time, all of them [567][\d.]* %/,
    cause: (stage) => {
      Object.assign(stage.flows, { memorySome: 0.08, memoryFull: 0.06 });
    },
    undo: (stage) => {
      Object.assign(stage.flows, { memorySome: 0.01, memoryFull: 0 });
    },
  },
  {
    name: "all tasks stall for disks",
    code: "PSI_IO",
    words: /stalled for disks [89][\d.]* % of the time; held to 1 processes/,
    options: () => ({ config: { machine: { ioPressure: 0.5 } } }),
    cause: (stage) => {
      begin(stage, "a");
      stage.flows.ioFull = 0.9;
    },
    undo: (stage) => {
      stage.flows.ioFull = 0.1;
    },
    until: "a job ends",
  },
  ...(
    [
      ["temporary files", "/scratch"],
      ["outputs", OUTPUT],
    ] as const
  ).flatMap(([what, path]): Situation[] => [
    {
      name: `the volume of ${what} is nearly full`,
      code: "DISK_SPACE",
      words: new RegExp(`^3\\.9 MiB is free at ${path}, 320 MiB must stay free$`),
      cause: (stage) => {
        stage.disks.set(path, { ...roomyDisk, bavail: 1_000 });
      },
      undo: (stage) => {
        stage.disks.set(path, roomyDisk);
      },
      isLasting: true,
    },
    {
      name: `the volume of ${what} takes hardly any more files`,
      code: "DISK_INODES",
      words: new RegExp(`^500 more files can be made at ${path}, 1250 must stay free$`),
      cause: (stage) => {
        stage.disks.set(path, { ...roomyDisk, ffree: 500 });
      },
      undo: (stage) => {
        stage.disks.set(path, roomyDisk);
      },
      isLasting: true,
    },
  ]),
  {
    name: "the cgroup has nearly all the processes that it may",
    code: "PIDS",
    words: /^10 more processes or threads may be made \(limit of the cgroup \/app\), 63 must stay free$/,
    cause: (stage) => {
      stage.pids(990);
    },
    undo: (stage) => {
      stage.pids(700);
    },
    isLasting: true,
  },
  {
    name: "the host has nearly all the threads that it may",
    code: "PIDS",
    words: /^5 more processes or threads may be made \(limit of the host\), 25 must stay free$/,
    prepare: (stage) => {
      stage.machine.write("proc/sys/kernel/pid_max", "400\n");
    },
    cause: (stage) => {
      stage.machine.write("proc/loadavg", "1.00 1.00 1.00 1/395 9\n");
    },
    undo: (stage) => {
      stage.machine.write("proc/loadavg", "1.00 1.00 1.00 1/300 9\n");
    },
    isLasting: true,
  },
  {
    name: "the host has nearly all the files open that it may",
    code: "FILES",
    words: /^10 more descriptors may be opened \(limit of the host\), 63 must stay free$/,
    cause: (stage) => {
      stage.openFiles(990);
    },
    undo: (stage) => {
      stage.openFiles(700);
    },
    isLasting: true,
  },
  {
    name: "the worker itself has nearly all the files open that it may",
    code: "FILES",
    words: /^30 more descriptors may be opened \(limit of the process\), 40 must stay free$/,
    prepare: (stage) => {
      const limits = "Max open files            60                   60                   files     \n";
      stage.machine.write("proc/self/limits", limits);
      stage.machine.write("proc/self/fd/0", "");
    },
    cause: (stage) => {
      for (let fd = 1; fd < 30; fd += 1) stage.machine.write(`proc/self/fd/${fd}`, "");
    },
    undo: (stage) => {
      for (let fd = 1; fd < 30; fd += 1) rmSync(stage.machine.path(`proc/self/fd/${fd}`));
    },
    isLasting: true,
  },
  {
    name: "a CPU is as hot as it may be",
    code: "HOT",
    words: /^thermal_zone0 x86_pkg_temp is at 104 °C, the cap is 102 °C$/,
    cause: (stage) => {
      stage.celsius(104);
    },
    undo: (stage) => {
      stage.celsius(90);
    },
    isLasting: true,
  },
  {
    name: "a card is hotter than a person allows",
    code: "HOT",
    words: /^GPU 0 is at 95 °C, the cap is 92 °C$/,
    options: () => withCard({ machine: { maxCelsius: 92 } }),
    prepare: (stage) => {
      stage.celsius(80);
      asksForCard(stage);
    },
    cause: () => {
      gpus.write("cards", card(2_048, 95));
    },
    undo: () => {
      gpus.write("cards", card(2_048));
    },
    isLasting: true,
  },
  {
    name: "the CPUs slow down for heat",
    code: "HOT",
    words: /^CPUs slow down for heat [\d.]+ times a second; held to 1 processes$/,
    cause: (stage) => {
      begin(stage, "a");
      stage.flows.slowDowns = 2;
    },
    undo: (stage) => {
      stage.flows.slowDowns = 0;
    },
    until: "a job ends",
  },
  {
    name: "the machine draws more power than a person allows",
    code: "POWER",
    words: /^250 W are drawn, the cap is 200 W; held to 1 processes$/,
    options: () => ({ config: { machine: { maxWatts: 200 } } }),
    prepare: (stage) => {
      stage.watts(180);
    },
    cause: (stage) => {
      begin(stage, "a");
      stage.watts(250);
    },
    undo: (stage) => {
      stage.watts(120);
    },
    until: "a job ends",
  },
  {
    name: "a job of ours has the card",
    code: "GPU",
    words: /^needs a GPU, all 1 are taken by jobs$/,
    options: () => withCard(),
    prepare: asksForCard,
    cause: (stage) => {
      stage.begin("a", stage.question);
    },
    undo: (stage) => {
      stage.end("a");
    },
    until: "a job ends",
  },
  {
    name: "another program has the memory of the card",
    code: "GPU_MEM",
    words: /^needs 256 MiB of GPU memory, 20 MiB is free on the emptiest card$/,
    options: () => withCard(),
    prepare: asksForCard,
    cause: () => {
      gpus.write("cards", card(81_900));
    },
    undo: () => {
      gpus.write("cards", card(2_048));
    },
    isLasting: true,
  },
  {
    name: "the card is lost",
    code: "GPU",
    words: /^needs a GPU, none can be seen now$/,
    options: () => withCard(),
    prepare: asksForCard,
    cause: () => {
      gpus.write("cards", ["Unable to determine the device handle for GPU 0000:65:00.0: GPU is lost."]);
    },
    undo: () => {
      gpus.write("cards", card(2_048));
    },
    isLasting: true,
  },
  {
    name: "there is no driver for a card",
    code: "GPU",
    words: /^needs a GPU, none can be seen now$/,
    options: () => withCard({}, false),
    cause: asksForCard,
    undo: () => {
      writeFileSync(gpus.driver, "");
    },
    isLasting: true,
  },
];
