/** From the ledger, a reading and the settings to what the rules, a heartbeat and the timer look at. Pure. */
import type { Expectation } from "../../contract/expectation.ts";
import { isUnknown, SETTLED_MS } from "../../platform/learned/calibration.ts";
import { ceilingBytes, DANGER_RATIO, neighbourBytes } from "./memory-rules.ts";
import { MiB, type Amounts } from "../../contract/resources.ts";
import type { Enforced, KeptRoom, RunningJob } from "../../contract/status.ts";
import type { AdmissionRule, AdmissionView, Gates, Held } from "./admission-view.ts";
import type { CapacityReading } from "./capacity.ts";
import { limitOf } from "./class-limits.ts";
import { countedCores, mostProcesses, OVERHEAD_MS } from "./cores.ts";
import { deviceRoomsOf } from "./device-rooms.ts";
import { DEFAULT_MEMORY_THRESHOLD, systemReserveOf, type GovernorConfig } from "./governor-config.ts";
import type { GovernorSnapshot } from "./governor-port.ts";
import { gpuTokensOf } from "./gpu-tokens.ts";
import type { CardFacts } from "./gpu-meter.ts";
import { OWN_LEVEL } from "./own-level.ts";
import { elapsedWorkMs, outlookOf, type Outlook } from "./outlook.ts";
import type { ToldAt } from "./waiting.ts";
import type { Reservation, Reservations } from "./reservations.ts";
import { flatExpectation, memoryOverTime, type SelfTuning } from "./self-tuning.ts";

/** Jobs that mostly wait leave this share of the cores to others, however many of them run. */
const LEFT_TO_OTHERS = 0.5;

export interface ViewFacts {
  readonly state: AdmissionView["state"];
  readonly isSolitary: boolean;
  readonly labels: ReadonlySet<string>;
  readonly config: GovernorConfig;
  readonly reading: CapacityReading;
  readonly jobs: readonly Reservation[];
  readonly gates: Gates;
  readonly neighbours: AdmissionView["neighbours"];
  readonly cards?: CardFacts;
  readonly tuning: Pick<SelfTuning, "z" | "kappa" | "external" | "classLimits">;
  /** By the clock that never goes back. */
  readonly nowMs: number;
  readonly pluginRules?: readonly AdmissionRule[];
}

export function createView(facts: ViewFacts): AdmissionView {
  const { state, isSolitary, labels, config, reading, jobs, gates, neighbours, tuning, nowMs, pluginRules } = facts;
  const isProcessLimitSet = config.maxProcesses !== undefined;
  // What a person has set is their word: then nothing is tried below it.
  const limits = isProcessLimitSet ? undefined : tuning.classLimits;
  const { reserved, unknown } = sumsOf(facts, limits);
  return {
    // By name: this is made for each claim, and copying what is left over would cost more than all the rest of it.
    state,
    isSolitary,
    labels,
    maxProcesses: maxProcessesOf(config, reading),
    gates,
    neighbours,
    nowMs,
    gpus: gpuTokensOf(reading.machine.gpus, jobs, neighbours, facts.cards?.leftovers),
    largestCardBytes: facts.cards?.largestBytes,
    ...(pluginRules !== undefined && { pluginRules }),
    memory: reading.memory,
    running: jobs,
    figures: reading.machine.plugins,
    memoryThreshold: config.memoryThreshold ?? DEFAULT_MEMORY_THRESHOLD,
    isMemoryThresholdSet: config.memoryThreshold !== undefined,
    isProcessLimitSet,
    systemReserveBytes: systemReserveOf(config, reading.memory),
    outlooks: jobs.map((job) => outlookOfReservation(job, nowMs)),
    external: tuning.external,
    z: tuning.z,
    kappa: tuning.kappa,
    cpuCores: reading.cpuCores,
    reserved,
    unknown,
    ...(limits !== undefined && { classLimits: limits }),
    cpuThreshold: config.cpuThreshold,
  };
}

/** What running jobs hold, and how many of them are of unknown classes. `limits`: kinds of jobs that mostly wait. */
function sumsOf(
  { jobs, reading, nowMs, config }: ViewFacts,
  limits: AdmissionView["classLimits"],
): Pick<AdmissionView, "reserved" | "unknown"> {
  const isDeclared = config.maxProcesses !== undefined;
  const sums = { cpuCores: 0, processes: 0, insideCores: 0, waitingCores: 0 };
  const unknown = { running: 0, settled: 0 };
  for (const job of jobs) {
    if (job.isInside) {
      sums.insideCores += job.need.cpuCores;
      continue;
    }
    if (job.expectation === undefined || isUnknown(job.expectation)) {
      unknown.running += 1;
      if (ranMsOf(job, nowMs) >= SETTLED_MS) unknown.settled += 1;
    }
    sums.processes += job.need.processes;
    const limit = limitOf(limits, job);
    if (limit !== undefined) sums.waitingCores += limit.cores;
    else sums.cpuCores += isDeclared ? job.need.cpuCores : coresOf(job, reading.cpuCores, nowMs);
  }
  const { processes, insideCores } = sums;
  const cpuCores = sums.cpuCores + Math.min(sums.waitingCores, LEFT_TO_OTHERS * reading.cpuCores);
  return { reserved: { cpuCores, processes, insideCores }, unknown };
}

/** How many processes a worker may have: what a person has set, else what the cores can keep busy. */
export function maxProcessesOf(
  { maxProcesses }: Pick<GovernorConfig, "maxProcesses">,
  { cpuCores }: Pick<CapacityReading, "cpuCores">,
): number {
  return maxProcesses ?? mostProcesses(cpuCores);
}

/** What a running job will take over time. Before its process is there, what it was promised. */
export function outlookOfReservation(job: Reservation, nowMs: number): Outlook {
  const { expectation, usage, peakBytes, need, suspension } = job;
  const elapsedMs = elapsedWorkMs({
    wallMs: ranMsOf(job, nowMs),
    cpuMs: usage?.cpuMs,
    cores: expectation?.cpuCores?.p50,
  });
  return outlookOf({
    id: job.jobId ?? "",
    expectation: expectation === undefined ? flatExpectation(need.memoryBytes) : memoryOverTime(expectation),
    elapsedMs,
    rssBytes: usage?.rssBytes ?? 0,
    peakBytes,
    isSuspended: suspension !== undefined,
  });
}

/** The cores that a job counts with: those of its class; while nobody knows these, its own, once it has run for a while. */
function coresOf(job: Reservation, cores: number, nowMs: number): number {
  const { expectation, need, usage } = job;
  const learned = learnedCores(expectation);
  const ranMs = ranMsOf(job, nowMs);
  const own = learned === undefined && ranMs >= SETTLED_MS ? usage?.cpuMs : undefined;
  return countedCores(learned, own === undefined ? need.cpuCores : Math.max(own, OVERHEAD_MS) / ranMs, cores);
}

function ranMsOf({ processSinceMs, suspension }: Reservation, nowMs: number): number {
  const untilMs = suspension?.sinceMs ?? nowMs;
  return untilMs - (processSinceMs ?? untilMs);
}

/** Cores that jobs of a class take, what they cost the worker included: a process of a few ms is mostly that. */
export function learnedCores(expectation: Expectation | undefined): Expectation["cpuCores"] {
  const { cpuCores, durationMs } = expectation ?? {};
  if (cpuCores === undefined || durationMs === undefined) return undefined;
  const overhead = OVERHEAD_MS / Math.max(OVERHEAD_MS, durationMs.p50);
  return { p50: cpuCores.p50 + overhead, p95: cpuCores.p95 + overhead };
}

/** What a heartbeat says of a reservation that has its job. */
export function runningJobOf(job: Reservation, told: ToldAt): RunningJob | undefined {
  const { jobId, runId, need, usage, expectation } = job;
  if (jobId === undefined) return undefined;
  const memory = { rssBytes: usage?.rssBytes ?? null, expectedBytes: expectation?.memoryBytes.p50 ?? null };
  const enforced = enforcedOf(job, told);
  const gpu = gpuOf(job);
  const endsAtMs = job.endsAtMs === undefined ? null : told(job.endsAtMs);
  return {
    jobId,
    runId: runId ?? "",
    sinceMs: told(job.sinceMs),
    reserved: need,
    ...memory,
    endsAtMs,
    enforced,
    ...gpu,
  };
}

/** What it holds of a card; nothing for one that has none and was seen on none. */
function gpuOf(job: Reservation): Pick<RunningJob, "gpu"> {
  const { card, gpuBytes, gpuUse, expectation } = job;
  if (card === undefined && gpuUse === undefined) return {};
  const expectedBytes = expectation?.gpuMemoryBytes?.p50 ?? null;
  return { gpu: { reservedBytes: gpuBytes, usedBytes: gpuUse?.usedBytes ?? null, expectedBytes } };
}

function enforcedOf({ suspension, slowed }: Reservation, told: ToldAt): Enforced | null {
  if (suspension !== undefined) {
    return { state: "suspended", sinceMs: told(suspension.sinceMs), message: suspension.message };
  }
  return slowed === undefined ? null : { state: "slowed", sinceMs: told(slowed.sinceMs), message: slowed.message };
}

/** What a worker has, has promised, uses, and could still give. */
export function figuresOf(
  view: AdmissionView,
  reading: CapacityReading,
  {
    ledger,
    workerBytes,
  }: { readonly ledger: Pick<Reservations, "all" | "reserved" | "committed">; readonly workerBytes: number },
): Pick<
  GovernorSnapshot,
  | "capacity"
  | "reserved"
  | "observed"
  | "headroom"
  | "devices"
  | "largestJobBytes"
  | "largestCardBytes"
  | "keepsRoomFor"
> {
  const reserved = ledger.reserved();
  const observed = observedOf(reading, reserved.processes);
  const headroom = headroomOf(view, observed, ledger.committed(false));
  const largest = {
    largestJobBytes: largestJobBytes(view, workerBytes),
    largestCardBytes: view.largestCardBytes ?? null,
  };
  const keepsRoomFor = view.held === undefined ? null : keptRoomOf(view.held);
  const devices = deviceRoomsOf(reading.machine, ledger.all, view.neighbours);
  const capacity = capacityOf(view, reading);
  return { capacity, reserved, observed, headroom, devices, ...largest, keepsRoomFor };
}

function keptRoomOf({ queue, jobId, waitedMs, startsInMs }: Held): KeptRoom {
  return { queue, jobId: jobId ?? null, waitedMs, startsInMs };
}

/** What this worker has in all. */
function capacityOf(view: AdmissionView, reading: CapacityReading): Amounts {
  return { memoryBytes: reading.memoryBytes, cpuCores: reading.cpuCores, processes: view.maxProcesses };
}

/** What is in use as measured, by whomever: memory of the level with the least room. */
function observedOf(reading: CapacityReading, processes: number): Amounts {
  const tightest = reading.memory.toSorted((a, b) => a.limitBytes - a.usedBytes - (b.limitBytes - b.usedBytes))[0];
  return {
    memoryBytes: tightest?.usedBytes ?? 0,
    cpuCores: (reading.cpu?.utilisation ?? 0) * reading.cpuCores,
    processes,
  };
}

/** What another job could get now: below the threshold, beside what is promised or in use. Never below 0. */
function headroomOf(view: AdmissionView, observed: Amounts, committed: Amounts): Amounts {
  const growth = view.outlooks.reduce((sum, { hiBytes, rssBytes }) => sum + Math.max(0, hiBytes - rssBytes), 0);
  const rooms = view.memory.map(
    (level) => ceilingBytes(level, view) - level.usedBytes - growth - neighbourBytes(view, level),
  );
  const neighbourCores = view.neighbours.reduce((sum, { cpuCores }) => sum + cpuCores, 0);
  return {
    memoryBytes: Math.max(0, Math.min(...rooms)),
    cpuCores: Math.max(0, view.cpuCores - Math.max(committed.cpuCores + neighbourCores, observed.cpuCores)),
    processes: Math.max(0, view.maxProcesses - view.reserved.processes),
  };
}

/** What a worker takes beside its resident memory: its launcher, page tables, files that it reads again and again. */
const BESIDE_WORKER_BYTES = 48 * MiB;

/** The most memory that one job with processes could ever be admitted with, for the worker itself stays where it is. */
function largestJobBytes(view: AdmissionView, workerBytes: number): number {
  const taken = workerBytes + BESIDE_WORKER_BYTES;
  const rooms = view.memory.map((level) => ceilingBytes(level, view) - (level.name === OWN_LEVEL ? 0 : taken));
  return Math.max(0, Math.min(...rooms));
}

const FASTEST_MS = 20;
const RUNNING_MS = 100;
const WAITING_MS = 250;
const IDLE_MS = 1_000;
/** A fast process writes about this much per millisecond: 1 GiB/s. */
const FASTEST_GROWTH_PER_MS = 2 ** 30 / 1_000;

/** How long until the next reading: the nearer the line of danger, the shorter, so that it is seen before it is passed. */
export function readingPauseMs(reading: CapacityReading | undefined, jobs: number, waiting: number): number {
  if (jobs === 0) return waiting > 0 ? WAITING_MS : IDLE_MS;
  const rooms = (reading?.memory ?? []).map((level) => DANGER_RATIO * level.limitBytes - level.usedBytes);
  const roomBytes = Math.min(...rooms);
  return Math.min(RUNNING_MS, Math.max(FASTEST_MS, roomBytes / FASTEST_GROWTH_PER_MS / 2));
}
