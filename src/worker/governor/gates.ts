/**
 * The gates that measured load closes and opens again, each with hysteresis. Pure: state and reading in, state out.
 *
 * The CPU gate keeps a threshold that a person has set. Load of others and load of our own are told apart, because they
 * ask for different things. When others alone reach the threshold, nothing is admitted until they are clearly below it.
 * When it is reached only together with our jobs, closing the gate would starve a worker by its own work: jobs of 10 ms
 * would run for one window and stop for the next. Instead the number of processes is held: at first to those that run
 * (one that ends is replaced at once), then, one window after the other, to the share that the threshold leaves, never
 * under one; and raised again, a window at a time, while the load is clearly below.
 */
import type { CapacityReading } from "./capacity.ts";

/** How far below its line a measure must be before its gate opens again. */
const CPU_HYSTERESIS = 0.05;
/** A change of the number of processes shows in the measure only after a whole window. */
const CPU_STEP_MS = 1_000;

export interface CpuGate {
  /** How many processes may run; undefined: as many as the ledger lets in. */
  readonly allowed: number | undefined;
  readonly isTakenByOthers: boolean;
  readonly steppedAtMs: number;
}

export const openCpuGate: CpuGate = { allowed: undefined, isTakenByOthers: false, steppedAtMs: -Infinity };

export interface CpuGateInput {
  readonly threshold: number;
  readonly utilisation: number;
  readonly others: number;
  readonly runningProcesses: number;
  readonly maxProcesses: number;
  readonly nowMs: number;
}

/** The CPU gate after one more reading. */
export function decideCpuGate(gate: CpuGate, input: CpuGateInput): CpuGate {
  const { threshold, others, utilisation } = input;
  const line = gate.isTakenByOthers ? threshold - CPU_HYSTERESIS : threshold;
  const isTakenByOthers = others >= line;
  const next = { ...gate, isTakenByOthers };
  if (isTakenByOthers) return next;
  if (utilisation >= threshold) return lowered(next, input);
  if (utilisation < threshold - CPU_HYSTERESIS) return raised(next, input);
  return next;
}

function lowered(gate: CpuGate, { threshold, utilisation, runningProcesses, nowMs }: CpuGateInput): CpuGate {
  const running = Math.max(1, runningProcesses);
  if (gate.allowed === undefined) return { ...gate, allowed: running, steppedAtMs: nowMs };
  if (nowMs - gate.steppedAtMs < CPU_STEP_MS || running > gate.allowed) return gate;
  const share = Math.floor((running * threshold) / utilisation);
  return { ...gate, allowed: Math.max(1, Math.min(share, gate.allowed - 1)), steppedAtMs: nowMs };
}

function raised(gate: CpuGate, { threshold, utilisation, ...input }: CpuGateInput): CpuGate {
  const { allowed, steppedAtMs } = gate;
  if (allowed === undefined || input.nowMs - steppedAtMs < CPU_STEP_MS) return gate;
  // Nothing of ours is left: what comes next starts as if nothing had been held.
  if (input.runningProcesses === 0) return { ...gate, allowed: undefined, steppedAtMs: input.nowMs };
  // Not the number holds them back: raising it would only let a later burst through.
  if (input.runningProcesses < allowed) return gate;
  const share = Math.floor((input.runningProcesses * threshold) / Math.max(utilisation, 0.01));
  const next = Math.max(allowed + 1, Math.min(share, allowed * 2));
  return { ...gate, allowed: next >= input.maxProcesses ? undefined : next, steppedAtMs: input.nowMs };
}

const PRESSURE_SOME = 0.1;
const PRESSURE_FULL = 0.02;
const CALM_RATIO = 0.02;
const CALM_MS = 2_000;

export interface PressureGate {
  readonly isClosed: boolean;
  readonly calmSinceMs: number | undefined;
}

export const openPressureGate: PressureGate = { isClosed: false, calmSinceMs: undefined };

/** The memory pressure gate after one more reading: closes at once, opens after two calm seconds. */
export function decidePressureGate(gate: PressureGate, reading: CapacityReading): PressureGate {
  const { pressure, atMs } = reading;
  if (pressure === undefined) return openPressureGate;
  if (pressure.memorySome > PRESSURE_SOME || pressure.memoryFull > PRESSURE_FULL) {
    return { isClosed: true, calmSinceMs: undefined };
  }
  if (!gate.isClosed) return gate;
  if (pressure.memorySome >= CALM_RATIO) return { isClosed: true, calmSinceMs: undefined };
  const calmSinceMs = gate.calmSinceMs ?? atMs;
  return atMs - calmSinceMs >= CALM_MS ? openPressureGate : { isClosed: true, calmSinceMs };
}

const COOLDOWN_MS = 2_000;
const STEP_MS = 100;
const STEPS = 6;

/**
 * After a job was ended for memory: nothing for two seconds, then one admission, then twice as many at each step. Work
 * goes on while the others that run here end; an empty worker does not wait, since nothing of ours can grow in it.
 */
export interface Cooldown {
  readonly endedAtMs: number;
  readonly admitted: number;
}

/** How long admission is still held, in ms; 0 when it is not. */
export function cooldownRemainingMs(cooldown: Cooldown | undefined, nowMs: number, running: number): number {
  if (cooldown === undefined || running === 0) return 0;
  const sinceMs = nowMs - cooldown.endedAtMs - COOLDOWN_MS;
  if (sinceMs < 0) return -sinceMs;
  const step = Math.floor(sinceMs / STEP_MS);
  if (step >= STEPS || cooldown.admitted < 2 ** (step + 1) - 1) return 0;
  return (step + 1) * STEP_MS - sinceMs;
}
