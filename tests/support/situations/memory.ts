/** Situations in which memory is short. */
import type { Expectation } from "../../../src/contract/expectation.ts";
import { GiB, MiB } from "../../../src/contract/resources.ts";
import { nothingKnown, type Situation } from "./situation.ts";

/** Takes a tenth of its memory in its first half. */
const late: Expectation = {
  ...{ ...nothingKnown, basis: "learned", samples: 9, memoryBytes: { p50: 600 * MiB, p95: 600 * MiB } },
  ...{ durationMs: { p05: 60_000, p50: 60_000, p95: 60_000 }, shape: [0.1, 0.1, 0.1, 0.1, 0.1, 1, 1, 1, 1, 1] },
};

export const memory: readonly Situation[] = [
  {
    name: "another program takes the memory of the cgroup (version 2)",
    code: "MEM_NOW",
    words:
      /^needs 128 MiB of memory, 83 MiB is free below 983 MiB \(900 MiB of 1024 MiB of the cgroup \/app in use, 900 MiB of it by other programs, 0 MiB more promised\)$/,
    cause: (stage) => {
      stage.uses(900);
    },
    undo: (stage) => {
      stage.uses(300);
    },
    isLasting: true,
  },
  {
    name: "another program takes the memory of the cgroup (version 1)",
    code: "MEM_NOW",
    words: /900 MiB of 1024 MiB of the cgroup \/memory\/app in use, 900 MiB of it by other programs/,
    options: () => ({ paths: ["3:memory:/app"] }),
    prepare: (stage) => {
      stage.machine.v1("app", { limit: String(GiB), usage: 300 * MiB });
    },
    cause: (stage) => {
      stage.machine.v1("app", { limit: String(GiB), usage: 900 * MiB });
    },
    undo: (stage) => {
      stage.machine.v1("app", { limit: String(GiB), usage: 300 * MiB });
    },
    isLasting: true,
  },
  {
    name: "another container of the pod takes the memory of the cgroup above",
    code: "MEM_NOW",
    words: /500 MiB of 600 MiB of the cgroup \/pod in use/,
    options: () => ({ paths: ["0::/pod/app"] }),
    prepare: (stage) => {
      stage.machine.v2("pod", { max: String(600 * MiB), current: 300 * MiB });
      stage.machine.v2("pod/app", { max: String(500 * MiB), current: 200 * MiB });
    },
    cause: (stage) => {
      stage.machine.v2("pod", { max: String(600 * MiB), current: 500 * MiB });
    },
    undo: (stage) => {
      stage.machine.v2("pod", { max: String(600 * MiB), current: 300 * MiB });
    },
    isLasting: true,
  },
  {
    name: "another program takes the memory of the host",
    code: "MEM_NOW",
    words: /of 2048 MiB of the host in use, .* of it by other programs/,
    options: () => ({ host: { totalKiB: 2 ** 21, availableKiB: 2 ** 20 } }),
    cause: (stage) => {
      stage.machine.host({ totalKiB: 2 ** 21, availableKiB: 2 ** 17 });
    },
    undo: (stage) => {
      stage.machine.host({ totalKiB: 2 ** 21, availableKiB: 2 ** 20 });
    },
    isLasting: true,
  },
  {
    name: "the reserve of the host is reached, well below the threshold",
    code: "MEM_NOW",
    words:
      /24 MiB is free below 1024 MiB, what the reserve of 1024 MiB for others leaves \(1000 MiB of 2048 MiB of the host/,
    options: () => ({
      host: { totalKiB: 2 ** 21, availableKiB: 1_400 * 1_024 },
      config: { systemReserveBytes: GiB, memoryThreshold: 0.85 },
    }),
    cause: (stage) => {
      stage.machine.host({ totalKiB: 2 ** 21, availableKiB: 1_048 * 1_024 });
    },
    undo: (stage) => {
      stage.machine.host({ totalKiB: 2 ** 21, availableKiB: 1_400 * 1_024 });
    },
    isLasting: true,
  },
  {
    name: "our jobs take what a person gave them of the memory",
    code: "MEM_NOW",
    words: /88 MiB is free below 288 MiB \(0 MiB of 300 MiB of the worker\.memory_max in use, 200 MiB more promised\)/,
    options: () => ({ config: { memoryMaxBytes: 300 * MiB } }),
    cause: (stage) => {
      stage.begin("a", stage.ask(200));
    },
    undo: (stage) => {
      stage.end("a");
    },
    until: "a job ends",
  },
  {
    name: "another program passes the threshold that a person set",
    code: "MEM_THRESHOLD",
    words: /69\.2 MiB is free below 819\.2 MiB, the threshold of 80 %/,
    options: () => ({ config: { memoryThreshold: 0.8 } }),
    cause: (stage) => {
      stage.uses(750);
    },
    undo: (stage) => {
      stage.uses(300);
    },
    isLasting: true,
  },
  {
    name: "our promises reach the threshold that a person set",
    code: "MEM_THRESHOLD",
    words: /the threshold of 80 % .* 400 MiB more promised/,
    options: () => ({ config: { memoryThreshold: 0.8 } }),
    cause: (stage) => {
      stage.begin("a", stage.ask(400));
    },
    undo: (stage) => {
      stage.end("a");
    },
    until: "a job ends",
  },
  {
    name: "our promises take the memory, though little of it is used",
    code: "MEM_NOW",
    words: /300 MiB of 1024 MiB of the cgroup \/app in use, 300 MiB of it by other programs, 600 MiB more promised/,
    cause: (stage) => {
      stage.begin("a", stage.ask(400));
      stage.begin("b", stage.ask(200));
    },
    undo: (stage) => {
      stage.end("a");
    },
    until: "a job ends",
  },
  {
    name: "a running job will have grown before this one ends",
    code: "MEM_FORECAST",
    words: /needs 128 MiB of memory in \d+ s, 83 MiB will be free then/,
    cause: (stage) => {
      stage.begin("late", stage.ask(600, { queue: "exec.late@19" }), { expectation: late });
    },
    undo: (stage) => {
      stage.end("late");
    },
    until: "a job ends",
  },
  {
    name: "a neighbour on this machine has promised the memory",
    code: "MEM_NOW",
    words: /600 MiB more promised, 600 MiB of it to other workers of this machine/,
    cause: (stage) => {
      stage.neighbour({ growthBytes: 600 * MiB });
    },
    undo: (stage) => {
      stage.neighbour({});
    },
    isLasting: true,
  },
  {
    name: "another program gave its memory back a moment ago, and may take it again",
    code: "MEM_NOW",
    words: /300 MiB of 1024 MiB of the cgroup \/app in use, 900 MiB by other programs in the last seconds/,
    cause: async (stage) => {
      stage.uses(900);
      await stage.pass(3_000);
      stage.uses(300);
    },
    undo: (stage) => stage.pass(5_000),
    isPassing: true,
  },
  {
    name: "a report finds the memory full up to the line of danger",
    code: "MEM_NOW",
    words: /needs 32 MiB of memory, 12\.1 MiB is free below 942\.1 MiB/,
    options: () => ({ config: { memoryThreshold: 0.8 } }),
    prepare: (stage) => {
      stage.question = stage.ask(32, { queue: "report.control@10", need: { processes: 0, cpuCores: 0.05 } });
    },
    cause: (stage) => {
      stage.uses(930);
    },
    undo: (stage) => {
      stage.uses(300);
    },
  },
  {
    name: "it asks for more memory than this worker ever gives",
    code: "UNSCHEDULABLE",
    words: /needs 1000 MiB of memory, this worker may use 983 MiB at most \(96 % of 1024 MiB of the cgroup \/app\)/,
    cause: (stage) => {
      stage.question = stage.ask(1_000);
    },
    undo: (stage) => {
      stage.uses(300, 2 * GiB);
    },
    isLasting: true,
  },
];
