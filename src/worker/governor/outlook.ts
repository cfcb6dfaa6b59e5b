/**
 * What one job will take over time, as an upper envelope and as the middle of what it may do. Pure.
 *
 *   hi(tau)  = hi * max shape[b], b over the progress from (elapsed + tau) / d95 to (elapsed + tau') / d05
 *   mid(tau) = mid * max usual[b], b over the progress from (elapsed + tau) / d50 to (elapsed + tau') / d50; 0 past d50
 *
 * for an interval from tau to tau' from now: a slow run is still at the first of these tenths, a quick one at the last, so
 * the truth lies between, and half of them are further than the middle. `shape` is what 19 in 20 stay below, `usual` what
 * half of them do. Literature: k-Segments and KS+ (memory of workflow tasks over time: 29 to 38 % less wasted than with one
 * number per task). `hi` and `mid` are the 95th and 50th percentile of the peak, corrected by what is seen:
 * - never less than 1.03 times what the job uses now;
 * - a job that is above the shape of its class by now will be above it at its peak: `hi` is lifted in proportion;
 * - one that has taken little by the time at which its class has shown most of its peak will not take much more;
 * - after 85 % of d95 what was promised and never used is given back: 1.01 times the peak seen;
 * - unknown shape or duration, a suspended job, a job past its d95: flat, and it is not assumed to end.
 */
import type { Expectation } from "../../contract/expectation.ts";

/** What is expected of a job, as far as memory over time is concerned. */
export type MemoryExpectation = Pick<Expectation, "memoryBytes" | "durationMs" | "shape" | "usual" | "shown">;

/** A running job: what is expected and what is seen. */
export interface RunningMemory {
  readonly id: string;
  readonly expectation: MemoryExpectation;
  /** How far it is: time since its start, or `elapsedWorkMs`. */
  readonly elapsedMs: number;
  readonly rssBytes: number;
  readonly peakBytes: number;
  readonly isSuspended?: boolean;
}

/** Made once per reading and job, asked many times. */
export interface Outlook {
  readonly id: string;
  readonly hiBytes: number;
  readonly midBytes: number;
  readonly rssBytes: number;
  /** Negative: it starts in so many ms. */
  readonly elapsedMs: number;
  readonly durationMs: MemoryExpectation["durationMs"];
  /** Undefined: flat. */
  readonly shape: readonly number[] | undefined;
  /** The same for half of its kind. */
  readonly usual: readonly number[] | undefined;
  /** Whether it is past the time in which all but one in twenty end, or stopped: nobody can say when it ends. */
  readonly isOverdue: boolean;
}

const RSS_MARGIN = 1.03;
const MID_MARGIN = 1.01;
/** After this share of d95 a job has shown its peak. */
const SHOWN_RATIO = 0.85;
/** A job is taken to be gone this far beyond its d95; one in twenty is not, and those mostly end soon after. */
const GONE_RATIO = 1.15;
/** What a job uses now it still uses so much later, whatever its shape says. */
const NEAR_MS = 1_000;
/** What is known of its memory may be so old. */
const READING_MS = 150;
/** How much longer a job probably takes that has passed its d95, as a share of what it has taken. */
const OVERDUE_SHARE = 0.25;

export function outlookOf(job: RunningMemory): Outlook {
  const { expectation, elapsedMs, rssBytes, isSuspended = false } = job;
  const { durationMs, shape } = expectation;
  const isOverdue = isSuspended || (durationMs !== undefined && elapsedMs >= durationMs.p95);
  const overTime = isSuspended ? { shape: undefined, usual: undefined } : { shape, usual: expectation.usual ?? shape };
  const outlook = { id: job.id, rssBytes, elapsedMs, durationMs, isOverdue, ...overTime };
  const { hi, mid } = corrected(job);
  return { ...outlook, hiBytes: hi, midBytes: Math.min(hi, mid) };
}

/** A job that has not begun; `startsInMs` for one that room is kept for. */
export function outlookOfCandidate(expectation: MemoryExpectation, id = "candidate", startsInMs = 0): Outlook {
  const { memoryBytes, durationMs, shape } = expectation;
  return {
    id,
    hiBytes: memoryBytes.p95,
    midBytes: Math.min(memoryBytes.p50, memoryBytes.p95),
    rssBytes: 0,
    elapsedMs: -startsInMs,
    durationMs,
    shape,
    usual: expectation.usual ?? shape,
    isOverdue: false,
  };
}

function corrected(job: RunningMemory): { hi: number; mid: number } {
  const { expectation, elapsedMs, rssBytes, peakBytes, isSuspended } = job;
  const { memoryBytes, durationMs, shape } = expectation;
  const d95 = durationMs?.p95;
  if (isSuspended !== true && d95 !== undefined && elapsedMs > SHOWN_RATIO * d95 && peakBytes > 0) {
    return { hi: Math.max(MID_MARGIN * peakBytes, RSS_MARGIN * rssBytes), mid: Math.max(peakBytes, rssBytes) };
  }
  let hi = Math.max(memoryBytes.p95, RSS_MARGIN * rssBytes);
  let mid = Math.max(memoryBytes.p50, MID_MARGIN * rssBytes);
  if (durationMs !== undefined && shape !== undefined) {
    const progress = { from: elapsedMs / Math.max(1, durationMs.p95), to: elapsedMs / Math.max(1, durationMs.p05) };
    hi = Math.max(RSS_MARGIN * rssBytes, Math.min(hi, shownPeakBytes(job, durationMs.p95)));
    mid = Math.min(hi, mid);
    const share = highestShare(shape, progress.from, progress.to);
    if (share > 0 && rssBytes > share * hi) {
      mid = Math.max(mid, rssBytes / share);
      hi = Math.max(hi, mid);
    }
  }
  return { hi, mid };
}

/** What a job takes at most between two moments from now. */
export interface Envelope {
  /** By the 95th percentile: of its peak, and of how far it may be by then. */
  readonly hiBytes: number;
  /** As half of its kind do: the middle of its peak, at the middle of its pace. */
  readonly midBytes: number;
}

export function envelopeOf(outlook: Outlook, fromMs: number, toMs: number): Envelope {
  const hiBytes = hiEnvelopeBytes(outlook, fromMs, toMs);
  return { hiBytes, midBytes: Math.min(hiBytes, midEnvelopeBytes(outlook, fromMs, toMs)) };
}

function hiEnvelopeBytes(outlook: Outlook, fromMs: number, toMs: number): number {
  const near = fromMs < NEAR_MS ? RSS_MARGIN * outlook.rssBytes : 0;
  const { durationMs, shape, hiBytes, elapsedMs } = outlook;
  if (elapsedMs + toMs < 0) return 0;
  if (durationMs === undefined || outlook.isOverdue) return Math.max(near, hiBytes);
  const start = elapsedMs + fromMs;
  if (start > GONE_RATIO * durationMs.p95) return near;
  if (shape === undefined) return Math.max(near, hiBytes);
  const from = Math.max(0, start) / Math.max(1, durationMs.p95);
  const to = (elapsedMs + toMs) / Math.max(1, durationMs.p05);
  return Math.max(near, hiBytes * highestShare(shape, from, to));
}

function midEnvelopeBytes(outlook: Outlook, fromMs: number, toMs: number): number {
  const near = fromMs < NEAR_MS ? MID_MARGIN * outlook.rssBytes : 0;
  const { durationMs, usual, midBytes, elapsedMs } = outlook;
  if (elapsedMs + toMs < 0) return 0;
  if (durationMs === undefined || outlook.isOverdue) return Math.max(near, midBytes);
  const middleMs = Math.max(1, middleOf(durationMs, elapsedMs));
  const from = Math.max(0, elapsedMs + fromMs) / middleMs;
  // More than half of those that have come so far have ended by then.
  if (from > 1) return near;
  if (usual === undefined) return Math.max(near, midBytes);
  return Math.max(near, midBytes * highestShare(usual, from, (elapsedMs + toMs) / middleMs));
}

/** How long a job takes that has come so far. Of those that are past the middle, half end before that between now and d95. */
function middleOf({ p50, p95 }: NonNullable<Outlook["durationMs"]>, elapsedMs: number): number {
  return elapsedMs < p50 ? p50 : (elapsedMs + p95) / 2;
}

/**
 * The most that the peak of a job can be, by what it has taken so far: all but one in twenty of its kind have come to a known
 * share of their peak by the end of the last tenth that it is surely through with. Infinity while that says nothing.
 */
function shownPeakBytes({ expectation: { shown = [] }, elapsedMs, rssBytes, peakBytes }: RunningMemory, d95: number) {
  const seenBytes = Math.max(peakBytes, rssBytes);
  const progress = (elapsedMs - READING_MS) / Math.max(1, d95);
  const through = Math.min(shown.length, Math.floor(progress * shown.length));
  const share = shown[through - 1] ?? 0;
  return share > 0 && seenBytes > 0 ? (RSS_MARGIN * seenBytes) / share : Infinity;
}

/** The largest share of the peak over a stretch of progress. */
function highestShare(shape: readonly number[], from: number, to: number): number {
  const lastBin = shape.length - 1;
  const first = Math.min(lastBin, Math.floor(from * shape.length));
  const last = Math.min(lastBin, Math.floor(to * shape.length));
  let most = 0;
  for (let bin = first; bin <= last; bin += 1) most = Math.max(most, shape[bin] ?? 1);
  return Math.min(1, most);
}

/**
 * How long until the job ends: `half` in the middle of what is left, `almost-sure` when all but one in twenty have ended.
 * Undefined while nothing is known.
 */
export function remainingMs(outlook: Outlook, certainty: "half" | "almost-sure"): number | undefined {
  const { durationMs, elapsedMs } = outlook;
  if (durationMs === undefined) return undefined;
  if (outlook.isOverdue) return Math.max(OVERDUE_SHARE * elapsedMs, durationMs.p50);
  if (certainty === "almost-sure") return durationMs.p95 - elapsedMs;
  return middleOf(durationMs, elapsedMs) - elapsedMs;
}

/**
 * How far a job is, in ms of a run that has the cores it wants. Work that computes is as far as its CPU time says: on a
 * crowded machine the clock runs ahead of it. Others are as far as the clock says.
 */
export function elapsedWorkMs(seen: { wallMs: number; cpuMs: number | undefined; cores: number | undefined }): number {
  const { wallMs, cpuMs, cores } = seen;
  if (cpuMs === undefined || cores === undefined || cores < 0.5) return wallMs;
  return Math.min(wallMs, cpuMs / cores);
}
