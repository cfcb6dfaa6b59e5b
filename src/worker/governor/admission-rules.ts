/** The rules of admission, one reason each, in the order in which they are told. All pure. */
import { KNOWN_AFTER, mayRunMore } from "../../platform/learned/calibration.ts";
import type { AdmissionRule, AdmissionView, Objection, Request } from "./admission-view.ts";
import { isOf, limitOf, profileOf } from "./class-limits.ts";
import { lackingCores } from "./cores.ts";
import { heldRules, scarceRules } from "./machine-rules.ts";
import { ceilingBytes, memory, memoryOfOthers, nameOf } from "./memory-rules.ts";
import type { MemoryLevel } from "./probes/probe.ts";
import { bytes, count, percent } from "./words.ts";

/** Cores that scans, reports and other work inside the worker may take together. */
const INSIDE_CORES = 0.5;

const SOON_MS = 250;
const LATER_MS = 1_000;
const RARELY_MS = 60_000;
/** So long a worker may have no room for any job before its neighbours step back. */
const STARVED_MS = 2_000;
/** Sums of fractions of cores are not exact. */
const SLACK = 1e-9;

const state: AdmissionRule = (_request, view) => {
  if (view.state === "open") return undefined;
  const isDraining = view.state === "draining";
  return {
    code: isDraining ? "DRAINING" : "PAUSED",
    lacking: "state",
    message: isDraining
      ? "the worker drains: it ends what runs and claims nothing"
      : "the worker is paused by its limits; headroom limits set paused=false lets it go on",
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

/** The same of a card; one that is not seen at this moment counts, for it may come back. */
const fitsOnCard: AdmissionRule = ({ leastCardBytes: need = 0 }, { largestCardBytes: have = Infinity }) => {
  if (need <= have) return undefined;
  const message = `needs ${bytes(need)} of GPU memory, the largest card of this worker has ${bytes(have)}`;
  return { code: "UNSCHEDULABLE", resource: "gpuMemoryBytes", message, need, have };
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

/** Of jobs that mostly wait so many run that more would bring less. */
const classLimit: AdmissionRule = ({ need, isInside, queue = "", kind }, view) => {
  if (isInside || view.classLimits === undefined) return undefined;
  const known = limitOf(view.classLimits, { queue, kind });
  const profile = profileOf(queue);
  const name = profile.slice(profile.indexOf(".") + 1);
  const about = { code: "CLASS_LIMIT", need: need.processes, have: 0, retryAfterMs: SOON_MS } as const;
  if (known === undefined) {
    const isOneOfSeveral =
      kind === undefined && [...view.classLimits.values()].some((limit) => limit.profile === profile);
    if (!isOneOfSeveral) return undefined;
    const message = `several kinds of ${name} have limits of their own: which one is next has to be looked at`;
    return { ...about, lacking: "kind", message };
  }
  const running = (view.running ?? []).filter((job) => isOf(job, known.kind, known)).length;
  if (running < known.limit) return undefined;
  const message = `held at ${known.limit} of ${name} at a time: more at a time were measured to get less done, or are yet to be tried`;
  return { ...about, lacking: "processes", message };
};

const cores: AdmissionRule = ({ need, isInside, queue = "", kind }, view) => {
  // How many of these run is found by what they get done, the cores that they use included.
  if (!isInside && limitOf(view.classLimits, { queue, kind }) !== undefined) return undefined;
  if (isInside || view.isProcessLimitSet) return declaredCores({ need, isInside }, view);
  const others = view.neighbours.reduce((sum, { cpuCores }) => sum + cpuCores, 0);
  const runningCores = view.reserved.cpuCores + others;
  const lacking = lackingCores({
    candidateCores: need.cpuCores,
    runningCores,
    cores: view.cpuCores,
    kappa: view.kappa,
  });
  if (lacking === 0) return undefined;
  const notes = [
    ...(view.kappa === 1 ? [] : [`promised ${count(view.kappa)} times`]),
    ...(others > 0 ? [`${count(others)} to other workers of this machine`] : []),
  ];
  const whose = `the ${count(view.cpuCores)} cores of this worker${notes.length > 0 ? ` (${notes.join(", ")})` : ""}`;
  return coresObjection(need.cpuCores, view.kappa * view.cpuCores - runningCores, whose);
};

/** Cores as a person has set them, by the number of processes; work inside the worker has a share of its own. */
function declaredCores({ need, isInside }: Pick<Request, "need" | "isInside">, view: AdmissionView) {
  const free = isInside ? INSIDE_CORES - view.reserved.insideCores : view.cpuCores - view.reserved.cpuCores;
  if (need.cpuCores <= free + SLACK) return undefined;
  const whose = isInside ? "the share for work inside the worker" : `the ${count(view.cpuCores)} cores of this worker`;
  return coresObjection(need.cpuCores, free, whose);
}

function coresObjection(need: number, free: number, whose: string): Objection {
  const have = Math.max(0, free);
  const message = `needs ${count(need)} cores, ${count(have)} of ${whose} are free`;
  return { code: "CPU", lacking: "cpuCores", message, need, have, retryAfterMs: SOON_MS };
}

/** A worker of this machine that has work and could start none of it comes first: whoever has a job already steps back. */
const neighbour: AdmissionRule = ({ isInside }, { neighbours, reserved }) => {
  if (isInside || reserved.processes === 0) return undefined;
  const starved = neighbours.find(({ starvedMs }) => starvedMs > STARVED_MS);
  if (starved === undefined) return undefined;
  const { workerId, starvedMs } = starved;
  return {
    code: "NEIGHBOUR",
    lacking: "turn",
    message: `worker ${workerId} of this machine has had no room for any job for ${count(starvedMs / 1_000)} s; it comes first`,
    need: 0,
    have: starvedMs,
    retryAfterMs: SOON_MS,
  };
};

/** Room is kept for what has waited long: others begin if they end before it starts, or fit beside it. */
const holding: AdmissionRule = ({ need, memory: expected, isInside, queue, lastsMs }, { held }) => {
  if (held === undefined || isInside || queue === held.queue) return undefined;
  const { startsInMs, waitedMs, spareBytes, spareCores, jobId } = held;
  if (lastsMs !== undefined && startsInMs !== null && lastsMs <= startsInMs) return undefined;
  if (expected.memoryBytes.p95 <= spareBytes && need.cpuCores <= spareCores + SLACK) return undefined;
  const when = startsInMs === null ? "once enough of the running jobs have ended" : `in ${count(startsInMs / 1_000)} s`;
  return {
    code: "HOLDING",
    lacking: "turn",
    message: `room is kept for ${held.queue}${jobId === undefined ? "" : ` (job ${jobId})`}, which has waited for ${count(waitedMs / 1_000)} s and can start ${when}`,
    need: expected.memoryBytes.p95,
    have: Math.max(0, spareBytes),
    retryAfterMs: SOON_MS,
  };
};

/** Of classes that nobody knows yet, few run at a time until the first have shown what they take. */
const calibrating: AdmissionRule = ({ samples }, { unknown }) => {
  if (samples === undefined || samples >= KNOWN_AFTER || mayRunMore(unknown)) return undefined;
  return {
    code: "CALIBRATING",
    lacking: "samples",
    message: `the first jobs of a new kind are measured before more of it start: ${samples} measured, ${unknown.running} running`,
    need: KNOWN_AFTER,
    have: samples,
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

/** What is given back meanwhile is for what stands still: new jobs would take it first, again and again. */
const suspended: AdmissionRule = ({ isInside }, { running = [] }) => {
  const count = running.filter(({ suspension }) => suspension !== undefined).length;
  if (isInside || count === 0) return undefined;
  return {
    code: "SUSPENDED",
    lacking: "turn",
    message: `${count === 1 ? "a job that was stopped" : `${count} jobs that were stopped`} for lack of memory ${count === 1 ? "goes" : "go"} on first`,
    need: 0,
    have: count,
    retryAfterMs: SOON_MS,
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

/**
 * What no end of a job of ours changes is told first: waiting for one would be in vain. Then what our own jobs hold, and
 * last what passes by itself.
 */
export const admissionRules: readonly AdmissionRule[] = [
  state,
  labels,
  fitsAtAll,
  fitsOnCard,
  alone,
  ...scarceRules,
  memoryOfOthers,
  cpuThreshold,
  processes,
  neighbour,
  calibrating,
  classLimit,
  cores,
  memory,
  holding,
  suspended,
  cooldown,
  pressure,
  ...heldRules,
];

/** The level with the least of what `room` says, and how much that is. */
function tightestOf(view: AdmissionView, room: (level: MemoryLevel) => number): [MemoryLevel, number] {
  let tightest: [MemoryLevel, number] = [{ name: "host", limitBytes: 0, usedBytes: 0 }, Infinity];
  for (const level of view.memory) {
    const free = room(level);
    if (free < tightest[1]) tightest = [level, free];
  }
  return tightest;
}
