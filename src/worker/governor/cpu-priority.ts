/**
 * Which job gets less of the cores while they are short, and when it gets its share back. Pure.
 *
 * Only a job that uses more cores than were reserved for it: the others then get what they were promised. Lower priority
 * costs it nothing where a core is free.
 */
import type { Gates } from "./admission-view.ts";
import type { Pressure } from "./capacity.ts";
import {
  about,
  enforcedJobs,
  type CpuReason,
  type CpuState,
  type EnforcedJob,
  type EnforcementView,
  type Step,
} from "./step.ts";

/** Share of the time in which some task waits for a core. */
const PRESSURE_SHORT = 0.25;
const PRESSURE_CALM = 0.1;
const SHORT_MS = 2_000;
const CALM_MS = 5_000;
/** A younger process has not shown what it uses. */
const SETTLED_MS = 2_000;
/** So far beyond its cores a job is not by chance. */
const OVER_RATIO = 1.25;
const OVER_CORES = 0.25;

export const calmCpu: CpuState = { kind: "calm", sinceMs: -Infinity };

/** The state after one more reading. */
export function decideCpuState(
  state: CpuState,
  seen: { readonly pressure: Pressure | undefined; readonly gates: Gates; readonly nowMs: number },
): CpuState {
  const reason = reasonOf(state, seen);
  if (reason === undefined) return state.kind === "calm" ? state : { kind: "calm", sinceMs: seen.nowMs };
  return state.kind === "short" ? { ...state, reason } : { kind: "short", reason, sinceMs: seen.nowMs };
}

function reasonOf(
  state: CpuState,
  { pressure, gates }: { readonly pressure: Pressure | undefined; readonly gates: Gates },
): CpuReason | undefined {
  const { machine, cpu } = gates;
  if (machine?.hot !== undefined || machine?.throttle !== undefined) return "heat";
  if (machine?.power !== undefined) return "power";
  if (cpu !== undefined) return "cpu-threshold";
  const line = state.kind === "short" ? PRESSURE_CALM : PRESSURE_SHORT;
  return pressure !== undefined && pressure.cpuSome > line ? "cpu-pressure" : undefined;
}

/** Slows the job that is furthest beyond its cores, or gives one its share back. */
export function decidePriority(view: EnforcementView): Step | undefined {
  const { cpu, nowMs } = view;
  const running = enforcedJobs(view).filter((job) => job.pid !== undefined && job.suspension === undefined);
  if (cpu.kind === "calm") return nowMs - cpu.sinceMs >= CALM_MS ? decideRestore(running) : undefined;
  if (nowMs - cpu.sinceMs < SHORT_MS) return undefined;
  const over = running.filter((job) => usesMore(job, nowMs));
  // Among jobs that all take more than their share it changes nothing; a cap is for what is not ours too.
  if (cpu.reason === "cpu-pressure" && over.length === running.length) return undefined;
  const chosen = over
    .filter(({ slowed }) => slowed === undefined)
    .toSorted((a, b) => usedCores(b, nowMs) - usedCores(a, nowMs))[0];
  if (chosen === undefined) return undefined;
  const has = `the job uses ${cores(usedCores(chosen, nowMs))} cores, ${cores(promisedCores(chosen))} were reserved`;
  return { kind: "slow", reason: cpu.reason, ...about(chosen, `${cpu.reason}: ${has}`) };
}

function decideRestore(running: readonly EnforcedJob[]): Step | undefined {
  const slowed = running.find((job) => job.slowed !== undefined);
  if (slowed === undefined) return undefined;
  return { kind: "restore", reason: "calm", ...about(slowed, "has its share of the cores again: they are not short") };
}

function usesMore(job: EnforcedJob, nowMs: number): boolean {
  if (nowMs - (job.processSinceMs ?? nowMs) < SETTLED_MS) return false;
  return usedCores(job, nowMs) > OVER_RATIO * promisedCores(job) + OVER_CORES;
}

/** Over the life of its process. */
function usedCores({ usage, processSinceMs }: EnforcedJob, nowMs: number): number {
  const ranMs = nowMs - (processSinceMs ?? nowMs);
  return ranMs > 0 ? (usage?.cpuMs ?? 0) / ranMs : 0;
}

/** One core is the least that a process has, whatever share of it the ledger counts. */
function promisedCores({ need, expectation }: EnforcedJob): number {
  return Math.max(1, need.cpuCores, expectation?.cpuCores?.p95 ?? 0);
}

function cores(value: number): string {
  return String(Math.round(value * 10) / 10);
}
