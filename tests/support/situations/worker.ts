/** Situations that somebody decided on, or that pass: labels, pauses, rules of plugins, turns. */
import { MiB } from "../../../src/contract/resources.ts";
import { GuardedRule } from "../../../src/worker/governor/plugin-rule.ts";
import { QUEUE } from "../staged-worker.ts";
import { begin, nothingKnown, type Situation } from "./situation.ts";

let isClosed = false;
const officeHours = () => {
  isClosed = false;
  const objection = { message: "nothing starts before 18:00", need: "18:00", have: "12:00" };
  return {
    rules: [new GuardedRule({ name: "office-hours", decide: () => (isClosed ? objection : undefined) }).decide],
  };
};
const licences = () => {
  isClosed = false;
  const decide = () => {
    if (isClosed) throw new Error("the server of licences is down");
    return undefined;
  };
  return { rules: [new GuardedRule({ name: "licences", whenBroken: "defer", decide }).decide] };
};

export const worker: readonly Situation[] = [
  {
    name: "the rule of a plugin objects",
    code: "RULE_OFFICE_HOURS",
    words: /^nothing starts before 18:00$/,
    options: officeHours,
    cause: () => {
      isClosed = true;
    },
    undo: () => {
      isClosed = false;
    },
  },
  {
    name: "the rule of a plugin is broken, and holds while it is",
    code: "RULE_LICENCES",
    words: /^the rule licences is broken: the server of licences is down$/,
    options: licences,
    cause: () => {
      isClosed = true;
    },
    undo: () => {
      isClosed = false;
    },
  },
  {
    name: "the worker lacks a label",
    code: "LABELS",
    words: /^needs a worker with the label tape$/,
    options: () => ({ config: { labels: ["ssd"] } }),
    cause: (stage) => {
      stage.question = stage.ask(128, { labels: ["ssd", "tape"] });
    },
    undo: (stage) => stage.restart({ labels: ["ssd", "tape"] }),
    isLasting: true,
  },
  {
    name: "a person paused the worker",
    code: "PAUSED",
    words: /^the worker is paused by its limits; headroom limits set paused=false lets it go on$/,
    cause: (stage) => {
      stage.governor.hold({ isPaused: true });
    },
    undo: (stage) => {
      stage.governor.hold({ isPaused: false });
    },
    isLasting: true,
  },
  {
    name: "the worker drains",
    code: "DRAINING",
    words: /^the worker drains: it ends what runs and claims nothing$/,
    cause: (stage) => {
      stage.governor.hold({ isDraining: true });
    },
    undo: (stage) => stage.restart(),
    isLasting: true,
  },
  {
    name: "a file that workers were lost with runs alone",
    code: "ALONE",
    words: /is to run alone here/,
    cause: (stage) => {
      stage.governor.hold({ isSolitary: true });
    },
    undo: (stage) => {
      stage.governor.hold({ isSolitary: false });
    },
    isLasting: true,
  },
  {
    name: "the first jobs of a new kind are measured",
    code: "CALIBRATING",
    words: /: 0 measured, 2 running$/,
    cause: (stage) => {
      for (const jobId of ["a", "b"]) stage.begin(jobId, stage.question, { expectation: nothingKnown });
    },
    undo: (stage) => {
      stage.end("a");
    },
    until: "a job ends",
  },
  {
    name: "a job was ended for its memory a moment ago",
    code: "COOLDOWN",
    words: /^a job was ended for its memory a moment ago/,
    cause: async (stage) => {
      begin(stage, "kept", "grown");
      stage.governor.usage("grown", { rssBytes: 600 * MiB, cpuMs: 1, atMs: performance.now() });
      stage.uses(960);
      while (!stage.steps.some((step) => step.kind === "end" && step.jobId === "grown")) await stage.pass(250);
      stage.end("grown");
      stage.uses(350);
      await stage.pass(250);
    },
    undo: (stage) => stage.pass(3_000),
    until: "soon",
    isPassing: true,
  },
  {
    name: "a job was stopped for lack of memory and goes on first",
    code: "SUSPENDED",
    words: /^a job that was stopped for lack of memory goes on first$/,
    cause: async (stage) => {
      begin(stage, "kept", "grown");
      stage.governor.describe("grown", { isRetriable: false });
      stage.runs("kept", 9_001, 40);
      stage.runs("grown", 9_002, 600);
      stage.uses(955);
      while (!stage.steps.some((step) => step.kind === "suspend" && step.jobId === "grown")) await stage.pass(250);
      stage.uses(890);
      stage.question = stage.ask(8);
    },
    undo: async (stage) => {
      stage.uses(350);
      while (!stage.steps.some((step) => step.kind === "resume" && step.jobId === "grown")) await stage.pass(250);
      stage.end("grown");
    },
    isPassing: true,
  },
  {
    name: "room is kept for a large job that small ones would keep waiting",
    code: "HOLDING",
    words: /^room is kept for exec\.big@18, which has waited for 1\d.* s and can start in \d/,
    options: () => ({ config: { memoryThreshold: 0.8 } }),
    cause: async (stage) => {
      for (const jobId of ["a", "b", "c"]) stage.begin(jobId, stage.ask(120));
      const backlog = new Set(["exec.big@18", QUEUE]);
      for (let second = 0; second < 12; second += 1) {
        stage.asks(stage.ask(400, { queue: "exec.big@18" }));
        stage.governor.noteBacklog(backlog);
        await stage.pass(1_000);
      }
      stage.end("a");
    },
    undo: (stage) => {
      stage.governor.noteBacklog(new Set([QUEUE]));
    },
  },
  {
    name: "a neighbour that could start nothing comes first",
    code: "NEIGHBOUR",
    words: /^worker neighbour of this machine has had no room for any job for 3 s; it comes first$/,
    cause: (stage) => {
      begin(stage, "a");
      stage.neighbour({ starvedMs: 3_000 });
    },
    undo: (stage) => {
      stage.neighbour({});
    },
    until: "a job ends",
  },
];
