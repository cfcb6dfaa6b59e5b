/** The rules of admission, one reason each, in the order in which they are told. All pure. */
import { MiB } from "../../contract/resources.ts";
import type { AdmissionRule, AdmissionView, Request } from "./admission-view.ts";
import type { MemoryLevel } from "./probes/probe.ts";

/** Beyond this share of a limit jobs are ended; nothing is admitted that would come near it. */
export const DANGER_RATIO = 0.93;
/** No threshold that a person sets reaches the line beyond which jobs are ended. */
const HIGHEST_THRESHOLD = DANGER_RATIO - 0.01;
/** Cores that scans, reports and other work inside the worker may take together. */
const INSIDE_CORES = 0.5;

const SOON_MS = 250;
const LATER_MS = 1_000;
const RARELY_MS = 60_000;
/** Sums of fractions of cores are not exact. */
const SLACK = 1e-9;

const state: AdmissionRule = (_request, view) => {
  if (view.state === "open") return undefined;
  const isDraining = view.state === "draining";
  return {
    code: isDraining ? "DRAINING" : "PAUSED",
    lacking: "state",
    message: isDraining ? "the worker drains: it ends what runs and claims nothing" : "the worker is paused",
    need: "open",
    have: view.state,
    retryAfterMs: RARELY_MS,
  };
};

const alone: AdmissionRule = ({ isInside }, view) => {
  if (isInside || !view.isSolitary) return undefined;
  return {
    code: "ALONE",
    lacking: "state",
    message: "a file that ran when two workers were lost is to run alone here, so that a further loss blames no other",
    need: "beside others",
    have: "alone",
    retryAfterMs: LATER_MS,
  };
};

const labels: AdmissionRule = (request, view) => {
  const missing = request.labels.filter((label) => !view.labels.has(label));
  if (missing.length === 0) return undefined;
  return {
    code: "LABELS",
    lacking: "labels",
    message: `needs a worker with ${missing.length === 1 ? "the label" : "the labels"} ${missing.join(", ")}`,
    need: request.labels.join(","),
    have: [...view.labels].join(","),
    retryAfterMs: RARELY_MS,
  };
};

/** A job that is larger than what an empty worker would admit waits for ever: say so instead. */
const fitsAtAll: AdmissionRule = ({ need, isInside }, view) => {
  const [tightest, ceiling] = tightestOf(view, (level) => ceilingBytes(level, view, isInside));
  if (need.memoryBytes > ceiling) {
    const message =
      `needs ${bytes(need.memoryBytes)} of memory, ` +
      `this worker may use ${bytes(ceiling)} at most (${percent(ceiling / tightest.limitBytes)} of ${nameOf(tightest)})`;
    return { code: "UNSCHEDULABLE", resource: "memoryBytes", message, need: need.memoryBytes, have: ceiling };
  }
  if (need.processes <= view.maxProcesses) return undefined;
  const message = `needs ${need.processes} processes at once, this worker runs ${view.maxProcesses} at most`;
  return { code: "UNSCHEDULABLE", resource: "processes", message, need: need.processes, have: view.maxProcesses };
};

const processes: AdmissionRule = ({ need, isInside }, view) => {
  const free = view.maxProcesses - view.reserved.processes;
  if (isInside || need.processes <= free) return undefined;
  return {
    code: "PROCESSES",
    lacking: "processes",
    message: `all ${view.maxProcesses} processes are taken`,
    need: need.processes,
    have: Math.max(0, free),
    retryAfterMs: SOON_MS,
  };
};

const cores: AdmissionRule = ({ need, isInside }, view) => {
  const free = isInside ? INSIDE_CORES - view.reserved.insideCores : view.cpuCores - view.reserved.cpuCores;
  if (need.cpuCores <= free + SLACK) return undefined;
  const whose = isInside ? "the share for work inside the worker" : "the cores of this worker";
  return {
    code: "CPU",
    lacking: "cpuCores",
    message: `needs ${count(need.cpuCores)} cores, ${count(Math.max(0, free))} of ${whose} are free`,
    need: need.cpuCores,
    have: Math.max(0, free),
    retryAfterMs: SOON_MS,
  };
};

/**
 * Memory in use, and promised, and asked for, against the tightest level. Promises count as if they were used up, so
 * that fifty jobs offered at once are admitted only as far as they fit when all have grown.
 */
const memory: AdmissionRule = ({ need, isInside }, view) => {
  const room = (level: MemoryLevel) => ceilingBytes(level, view, isInside) - level.usedBytes - view.growthBytes;
  const [level, free] = tightestOf(view, room);
  if (need.memoryBytes <= free) return undefined;
  const after = level.usedBytes + view.growthBytes + need.memoryBytes;
  const isNow = isInside || !view.isMemoryThresholdSet || after > DANGER_RATIO * level.limitBytes;
  const ceiling = ceilingBytes(level, view, isInside);
  const line = isNow ? "" : `, the threshold of ${percent(view.memoryThreshold)}`;
  return {
    code: isNow ? "MEM_NOW" : "MEM_THRESHOLD",
    lacking: "memoryBytes",
    message:
      `needs ${bytes(need.memoryBytes)} of memory, ${bytes(Math.max(0, free))} is free below ${bytes(ceiling)}${line} ` +
      `(${bytes(level.usedBytes)} of ${nameOf(level)} in use, ${bytes(view.growthBytes)} more promised)`,
    need: need.memoryBytes,
    have: Math.max(0, free),
    retryAfterMs: SOON_MS,
  };
};

const cooldown: AdmissionRule = ({ isInside }, { gates }) => {
  if (isInside || gates.cooldown === undefined) return undefined;
  const { remainingMs } = gates.cooldown;
  return {
    code: "COOLDOWN",
    lacking: "time",
    message: "a job was ended for its memory a moment ago; admission comes back step by step",
    need: 0,
    have: Math.ceil(remainingMs),
    retryAfterMs: Math.max(1, Math.ceil(remainingMs)),
  };
};

const pressure: AdmissionRule = ({ isInside }, { gates }) => {
  if (isInside || gates.pressure === undefined) return undefined;
  const { memorySome, memoryFull } = gates.pressure;
  return {
    code: "PSI_MEM",
    lacking: "pressure",
    message: `tasks were stalled for memory ${percent(memorySome)} of the time, all of them ${percent(memoryFull)}`,
    need: 0,
    have: Math.max(memorySome, memoryFull),
    retryAfterMs: LATER_MS,
  };
};

const cpuThreshold: AdmissionRule = ({ need, isInside }, { gates, reserved, cpuThreshold: threshold }) => {
  if (isInside || threshold === undefined || gates.cpu === undefined) return undefined;
  const { allowed, utilisation, others } = gates.cpu;
  if (reserved.processes + need.processes <= allowed) return undefined;
  const who = allowed === 0 ? `other programs use ${percent(others)}` : `held to ${allowed} of our own processes`;
  return {
    code: "CPU_THRESHOLD",
    lacking: "cpuCores",
    message: `the CPUs are ${percent(utilisation)} in use, the threshold is ${percent(threshold)}; ${who}`,
    need: threshold,
    have: utilisation,
    retryAfterMs: LATER_MS,
  };
};

export const admissionRules: readonly AdmissionRule[] = [
  state,
  labels,
  fitsAtAll,
  alone,
  processes,
  cores,
  memory,
  cooldown,
  pressure,
  cpuThreshold,
];

/**
 * Up to where a level may be filled. The threshold is for jobs with processes; a report that would end a run is not
 * held back by it, only by the line of danger.
 */
export function ceilingBytes(
  level: MemoryLevel,
  view: Pick<AdmissionView, "memoryThreshold" | "systemReserveBytes">,
  isInside: Request["isInside"] = false,
): number {
  const threshold = isInside ? HIGHEST_THRESHOLD : Math.min(view.memoryThreshold, HIGHEST_THRESHOLD);
  const reserve = level.name === "host" ? view.systemReserveBytes : 0;
  return Math.floor(Math.min(threshold * level.limitBytes, level.limitBytes - reserve));
}

/** The level with the least of what `room` says, and how much that is. */
function tightestOf(view: AdmissionView, room: (level: MemoryLevel) => number): [MemoryLevel, number] {
  let tightest: [MemoryLevel, number] = [{ name: "host", limitBytes: 0, usedBytes: 0 }, Infinity];
  for (const level of view.memory) {
    const free = room(level);
    if (free < tightest[1]) tightest = [level, free];
  }
  return tightest;
}

function nameOf(level: MemoryLevel): string {
  return `${bytes(level.limitBytes)} of the ${level.name}`;
}

function bytes(value: number): string {
  return `${Math.round((value / MiB) * 10) / 10} MiB`;
}

function percent(value: number): string {
  return `${Math.round(value * 1_000) / 10} %`;
}

function count(value: number): string {
  return String(Math.round(value * 100) / 100);
}
