/**
 * Which job is far from its class, and when a class is no longer what it was. Pure.
 *
 * One job: its distance from the median of log(measured/predicted) in units of the median absolute deviation, which a few
 * strange jobs do not move. A class: too many of its last jobs were beyond what was expected of all but one in twenty.
 */
import type { Expectation } from "../../contract/expectation.ts";
import { MiB } from "../../contract/resources.ts";
import type { ClassModel } from "./class-model.ts";
import type { RecentJob, Target } from "./class-state.ts";

export interface Outlier {
  readonly target: Target;
  /** In the unit of the target: bytes, or ms. */
  readonly value: number;
  readonly expected: number;
  readonly z: number;
  /** What the class learns instead, so that one strange job does not decide for all. */
  readonly learnAs: number;
}

const THRESHOLD = 3.5;
/** Makes the median absolute deviation of a normal distribution its standard deviation. */
const TO_SIGMA = 1.4826;
/** A class whose jobs are all alike differs by the noise of measuring. */
const LEAST_SIGMA = 0.02;
/** With less than this more than expected nobody needs to be told, however regular the class is. */
const LEAST_RATIO = 1.3;
/** Nor with less than this more: what a busy machine does to short processes is no news. In bytes, and in ms. */
const LEAST_EXCESS = { memory: 16 * MiB, duration: 1_000, gpu: 256 * MiB } as const satisfies Record<Target, number>;
const LEAST_SAMPLES = 20;
const LEARN_SIGMAS = 3;

/** Whether a measured value is far above what is expected of its class. */
export function decideOutlier(
  target: Target,
  value: number,
  model: ClassModel,
  inputBytes: number,
): Outlier | undefined {
  const centre = model.centre(target, inputBytes, LEAST_SAMPLES);
  if (centre === undefined) return undefined;
  const { predicted, medianLog, deviationLog, samples } = centre;
  // The fewer jobs, the less is known of how far they usually are from each other.
  const sigma = Math.max(LEAST_SIGMA, TO_SIGMA * deviationLog) * (1 + 1 / Math.sqrt(samples));
  const log = Math.log(value / predicted);
  const z = (log - medianLog) / sigma;
  const expected = predicted * Math.exp(medianLog);
  const isNews = value >= LEAST_RATIO * expected && value >= expected + LEAST_EXCESS[target];
  if (z <= THRESHOLD || !isNews) return undefined;
  return { target, value, expected, z, learnAs: expected * Math.exp(LEARN_SIGMAS * sigma) };
}

export interface RunningFacts {
  readonly rssBytes: number;
  readonly elapsedMs: number;
}

const MEMORY_MARGIN = 1.2;
const DURATION_MARGIN = 2;

/** Whether a process that still runs is already far beyond what was expected; the first reason. */
export function decideRunningAnomaly(now: RunningFacts, expected: Expectation): Target | undefined {
  if (expected.samples === 0) return undefined;
  const { memoryBytes, durationMs } = expected;
  const memoryLine = Math.max(MEMORY_MARGIN * memoryBytes.p95, memoryBytes.p95 + LEAST_EXCESS.memory);
  if (now.rssBytes > memoryLine) return "memory";
  if (durationMs === undefined) return undefined;
  const durationLine = Math.max(DURATION_MARGIN * durationMs.p95, durationMs.p95 + LEAST_EXCESS.duration);
  return now.elapsedMs > durationLine ? "duration" : undefined;
}

/** Last jobs that are looked at, and how many of them beyond what was expected are no chance any more. */
const driftWindows = [
  { jobs: 12, beyond: 7 },
  { jobs: 30, beyond: 12 },
] as const;

/** Whether the class is no longer what it was: its jobs take more than all that was learned says. */
export function decideDrift(recent: readonly RecentJob[]): boolean {
  return isDrift(recent.flatMap(({ coverage }) => (coverage === "open" ? [] : [coverage === "beyond"])));
}

/** The same of the last jobs that could be judged: whether each was beyond what was expected. */
export function isDrift(judged: readonly boolean[]): boolean {
  return driftWindows.some(({ jobs, beyond }) => judged.slice(-jobs).filter((one) => one).length >= beyond);
}

/** Share of the last thirty jobs that stayed below what was expected; undefined before the first. */
export function coverageOf(recent: readonly RecentJob[]): number | undefined {
  const judged = recent.filter(({ coverage }) => coverage !== "open").slice(-30);
  if (judged.length === 0) return undefined;
  return judged.filter(({ coverage }) => coverage === "within").length / judged.length;
}
