/**
 * CPU admission by learned cores: S cpu50 (running and candidate) <= kappa * C, where C is what quota, cpuset and affinity
 * leave, as a fraction. Pure.
 *
 * A class that is known to wait for disks or servers uses a tenth of a core, so ten times as many run as there are cores.
 * `kappa` is how far cores are promised more than once. It follows what the kernel says (additive increase, multiplicative
 * decrease, each two seconds): tasks that wait for a core more than a quarter of the time, or a quota that throttles, take
 * 5 % off; cores that stand idle while nothing but this rule holds jobs back add 0.05.
 */
import type { Spread } from "../../contract/expectation.ts";

export interface Overcommit {
  readonly kappa: number;
  readonly decidedAtMs: number;
}

export interface CpuFacts {
  readonly nowMs: number;
  /** Share of the time in which some task waited for a core; undefined where the kernel does not say. */
  readonly pressureSome: number | undefined;
  /** Share of the time in which the quota held us back. */
  readonly throttledRatio: number;
  /** Share of the cores that stood idle. */
  readonly idleRatio: number;
  /** Jobs wait, and only for cores. */
  readonly isOnlyCpuInTheWay: boolean;
}

/** Tasks wait for a core now and then wherever all cores are in use; one that is never promised stands idle. */
const LEAST_KAPPA = 1;
const MOST_KAPPA = 2;
const STEP_MS = 2_000;
const PRESSURE_SOME = 0.25;
const THROTTLED = 0.05;
const IDLE = 0.1;
const LESS = 0.95;
const MORE = 0.05;
/** Even a process that only waits is started, read and reaped. */
const LEAST_CORES = 0.01;
/**
 * A job may start when this share of what it wants is free: cores that stand idle until all four are there are lost,
 * and a job on three of four only takes longer.
 */
const FITTING_SHARE = 0.75;
/** Sums of fractions of cores are not exact. */
const SLACK = 1e-9;

/** CPU time that starting, watching and publishing one process costs the worker itself. */
export const OVERHEAD_MS = 2;
/** Processes of a worker on which nobody has set a limit: work that only waits, for disks or for servers, takes no core. */
const MOST_PROCESSES_PER_CORE = 16;

/** So many processes that no core stands idle for long. */
export function mostProcesses(cpuCores: number): number {
  return Math.max(1, Math.ceil(cpuCores * MOST_PROCESSES_PER_CORE));
}

export const firstOvercommit: Overcommit = { kappa: 1, decidedAtMs: -Infinity };

/** The overcommitment after one more reading; changes every two seconds at most. */
export function decideOvercommit(known: Overcommit, facts: CpuFacts): Overcommit {
  if (facts.nowMs - known.decidedAtMs < STEP_MS) return known;
  const isPressed = (facts.pressureSome ?? 0) > PRESSURE_SOME || facts.throttledRatio > THROTTLED;
  if (isPressed) return { kappa: Math.max(LEAST_KAPPA, known.kappa * LESS), decidedAtMs: facts.nowMs };
  if (facts.idleRatio <= IDLE || !facts.isOnlyCpuInTheWay) return known;
  return { kappa: Math.min(MOST_KAPPA, known.kappa + MORE), decidedAtMs: facts.nowMs };
}

/**
 * The cores that a job counts with: what such jobs were measured to use, else what was declared. Cores are compressible:
 * one that wants more than there are gets all of them and runs slower.
 */
export function countedCores(learned: Spread | undefined, declared: number, cores: number): number {
  return Math.min(cores, Math.max(LEAST_CORES, learned?.p50 ?? declared));
}

export interface CoresQuestion {
  readonly candidateCores: number;
  /** Sum over the running jobs of what they count with. */
  readonly runningCores: number;
  readonly cores: number;
  readonly kappa: number;
}

/** How many cores are lacking for the candidate; 0 when it fits. An idle worker takes any job. */
export function lackingCores({ candidateCores, runningCores, cores, kappa }: CoresQuestion): number {
  if (runningCores <= SLACK) return 0;
  const lacking = runningCores + FITTING_SHARE * candidateCores - kappa * cores;
  return lacking <= SLACK ? 0 : lacking;
}
