/** Situations in which cores or processes are short. */
import { begin, type Situation } from "./situation.ts";

export const cores: readonly Situation[] = [
  {
    name: "our jobs have the cores",
    code: "CPU",
    words: /needs 1 cores, 0\.2 of the 4 cores of this worker \(promised 1\.05 times\) are free$/,
    cause: (stage) => {
      begin(stage, "a", "b", "c", "d");
    },
    undo: (stage) => {
      stage.end("a");
    },
    until: "a job ends",
  },
  {
    name: "a neighbour on this machine has the cores",
    code: "CPU",
    words: /0\.2 of the 4 cores of this worker \(promised 1\.05 times, 4 to other workers of this machine\) are free/,
    cause: (stage) => {
      stage.neighbour({ cpuCores: 4 });
    },
    undo: (stage) => {
      stage.neighbour({});
    },
  },
  {
    name: "the quota of the cgroup gives one core",
    code: "CPU",
    words: /0\.05 of the 1 cores of this worker \(promised 1\.05 times\) are free/,
    prepare: (stage) => {
      stage.machine.write("cgroup/app/cpu.max", "100000 100000\n");
      stage.machine.write("cgroup/app/cpu.stat", "usage_usec 0\n");
    },
    cause: (stage) => {
      begin(stage, "a");
    },
    undo: (stage) => {
      stage.machine.write("cgroup/app/cpu.max", "400000 100000\n");
    },
    until: "a job ends",
  },
  {
    name: "scans and reports have their share of the cores",
    code: "CPU",
    words: /0 of the share for work inside the worker are free/,
    prepare: (stage) => {
      stage.question = stage.ask(1, { queue: "scan.control@10", need: { processes: 0, cpuCores: 0.05 } });
    },
    cause: (stage) => {
      for (let at = 0; at < 10; at += 1) stage.begin(`scan-${at}`, stage.question);
    },
    undo: (stage) => {
      stage.end("scan-0");
    },
    until: "a job ends",
  },
  {
    name: "as many processes run as a person allowed",
    code: "PROCESSES",
    words: /all 2 processes are taken/,
    options: () => ({ config: { maxProcesses: 2 } }),
    cause: (stage) => {
      begin(stage, "a", "b");
    },
    undo: (stage) => {
      stage.end("a");
    },
    until: "a job ends",
  },
  {
    name: "so many jobs that mostly wait run as have been found to get done most",
    code: "CLASS_LIMIT",
    words: /held at 8 of default at a time/,
    cause: async (stage) => {
      const ask = stage.ask(20, { queue: "exec.default@9" });
      for (const jobId of ["first", "second", "third"]) {
        stage.begin(jobId, ask);
        await stage.pass(250);
        stage.governor.worked(jobId, { work: 1, cpuMs: 2 });
        stage.end(jobId);
      }
      for (let at = 0; at < 8; at += 1) stage.begin(`waits-${at}`, ask);
    },
    undo: (stage) => {
      stage.end("waits-0");
    },
    until: "a job ends",
    // With none that ends for a while it tries more.
    isPassing: true,
  },
  {
    name: "it asks for more processes than a person allowed",
    code: "UNSCHEDULABLE",
    words: /needs 3 processes at once, this worker runs 2 at most/,
    options: () => ({ config: { maxProcesses: 2 } }),
    cause: (stage) => {
      stage.question = stage.ask(128, { need: { processes: 3 } });
    },
    undo: (stage) => {
      stage.governor.configure({ maxProcesses: 4 });
    },
  },
  {
    name: "other programs use the CPUs beyond the threshold",
    code: "CPU_THRESHOLD",
    words: /the threshold is 80 %; other programs use 9\d/,
    options: () => ({ config: { cpuThreshold: 0.8 } }),
    cause: (stage) => {
      stage.flows.busy = 0.95;
    },
    undo: (stage) => {
      stage.flows.busy = 0.5;
    },
    isLasting: true,
  },
  {
    name: "our own jobs use the CPUs beyond the threshold",
    code: "CPU_THRESHOLD",
    words: /the threshold is 80 %; held to [12] of our own processes/,
    options: () => ({ config: { cpuThreshold: 0.8 } }),
    cause: (stage) => {
      begin(stage, "a", "b");
      Object.assign(stage.flows, { busy: 0.95, ownCores: 3.6 });
    },
    undo: (stage) => {
      stage.end();
      Object.assign(stage.flows, { busy: 0.1, ownCores: 0 });
    },
    until: "a job ends",
  },
];
