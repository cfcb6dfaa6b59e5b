/**
 * What few jobs say of the next one. Pure.
 *
 * From three jobs on: the quantiles of the next logarithm of a peak, when logarithms scatter normally around a line over
 * the size of the input (or around one value, where that says as much): Student's t with the scatter that was seen, and with
 * what jobs of other kinds scatter as if three more had been seen (a scaled inverse chi-squared prior; Gelman et al.,
 * "Bayesian Data Analysis", 3rd ed., sections 3.2 and 14.2). A histogram of so few would say nothing beyond its largest.
 */
import type { Spread } from "../../contract/expectation.ts";
import type { Fit, RecentJob } from "./class-state.ts";
import { abscissa, atLine, lineOf, lineTerms, type Line, type LineSums } from "./regression.ts";

/** At least so many of the last jobs are asked. */
const ASKED = 8;
/** A line, or a scatter, of fewer points is a guess. */
const LINE_AFTER = 3;
/** One job says little of an input many times as large: not more than this times the largest that was seen. */
const MAX_GROWTH = 1.25;
/** Standard deviation of the logarithm that is taken for likely, and for how many jobs that counts. */
const PRIOR_DEVIATION = 0.15;
const PRIOR_JOBS = 3;
/** A job further off than so many (robust) deviations counts as being so far. */
const MAX_DEVIATIONS = 3.5;
const LEAST_DEVIATION = 0.03;
const MAD_TO_DEVIATION = 1.4826;
const P95_NORMAL = 1.645;

/** The fewer were seen, the likelier that the next one is larger than all of them. */
function doubt(samples: number): number {
  return 1 + 0.3 / Math.sqrt(Math.max(1, samples));
}

/** Peak memory of the next job, in bytes; `samples`: how many of the last jobs are of the class as it is now. */
export function fewPeaks(recent: readonly RecentJob[], inputBytes: number, samples: number): Spread {
  const asked = recent.filter(({ peakBytes }) => peakBytes > 0).slice(-Math.max(ASKED, Math.round(samples)));
  const ended = asked.filter(({ durationMs }) => durationMs > 0);
  if (ended.length < LINE_AFTER) {
    const most = largestPeak(asked, inputBytes);
    return { p50: Math.ceil(most), p95: Math.ceil(most * doubt(samples)) };
  }
  const first = narrowest(ended, inputBytes);
  // Of one that was ended, or runs, only the least is known: that counts where it is more than was to be expected.
  const cut = asked.filter((job) => job.durationMs <= 0 && job.peakBytes > first.medianAt(job.inputBytes));
  const { p50, p95 } = cut.length === 0 ? first : narrowest([...ended, ...cut], inputBytes);
  return { p50: Math.ceil(p50), p95: Math.ceil(Math.max(p95, leastOf(asked, inputBytes))) };
}

/** Of very few, none that had no larger input is taken for a stranger. */
function leastOf(asked: readonly RecentJob[], inputBytes: number): number {
  if (asked.length >= ASKED) return 0;
  return Math.max(0, ...asked.filter((job) => job.inputBytes <= inputBytes).map(({ peakBytes }) => peakBytes));
}

/** The largest of these jobs, and more for a larger input. */
function largestPeak(asked: readonly RecentJob[], inputBytes: number): number {
  const largest = Math.max(0, ...asked.map(({ peakBytes }) => peakBytes));
  const scaled = Math.max(0, ...asked.map((job) => job.peakBytes * growth(inputBytes, job.inputBytes)));
  return Math.min(scaled, MAX_GROWTH * largest);
}

interface Predicted extends Spread {
  medianAt(inputBytes: number): number;
}

/** Of one value and of both lines, what leaves the least open. */
function narrowest(jobs: readonly RecentJob[], inputBytes: number): Predicted {
  const lines = (["lin", "log"] as const).flatMap((fit) => predictedBy(jobs, inputBytes, fit) ?? []);
  return [predictedByValue(jobs), ...lines].reduce((a, b) => (b.p95 / b.p50 < a.p95 / a.p50 ? b : a));
}

function predictedByValue(jobs: readonly RecentJob[]): Predicted {
  const logs = jobs.map(({ peakBytes }) => Math.log(peakBytes));
  const { mean, upper } = nextOf(logs, { parameters: 1, leverage: 0 });
  return { p50: Math.exp(mean), p95: Math.exp(mean + upper), medianAt: () => Math.exp(mean) };
}

/** Undefined where larger inputs are not seen to take more, or the line says nothing of one of these inputs. */
function predictedBy(jobs: readonly RecentJob[], inputBytes: number, fit: Fit): Predicted | undefined {
  const line = lineThrough(jobs, fit);
  if (line === undefined || line.slope === 0) return undefined;
  const at = (bytes: number) => atLine(fit, line, bytes) ?? NaN;
  const ratios = jobs.map((job) => Math.log(job.peakBytes / at(job.inputBytes)));
  const { mean, upper } = nextOf(ratios, { parameters: 2, leverage: leverageOf(jobs, inputBytes, fit) });
  const medianAt = (bytes: number) => at(bytes) * Math.exp(mean);
  const p50 = medianAt(inputBytes);
  return Number.isFinite(p50 * upper) ? { p50, p95: p50 * Math.exp(upper), medianAt } : undefined;
}

function lineThrough(jobs: readonly RecentJob[], fit: Fit): Line | undefined {
  const sum: Record<keyof LineSums, number> = { w: 0, x: 0, xx: 0, y: 0, xy: 0 };
  for (const { inputBytes, peakBytes } of jobs) {
    const terms = lineTerms(fit, inputBytes, peakBytes);
    for (const name of Object.keys(sum) as (keyof LineSums)[]) sum[name] += terms[name];
  }
  return lineOf(sum);
}

/** How much less a line says far from what it was drawn through: the square of the distance, in that of all of them. */
function leverageOf(jobs: readonly RecentJob[], inputBytes: number, fit: Fit): number {
  const xs = jobs.map((job) => abscissa(fit, job.inputBytes));
  const mean = xs.reduce((sum, x) => sum + x, 0) / xs.length;
  const squares = xs.reduce((sum, x) => sum + (x - mean) ** 2, 0);
  return (abscissa(fit, inputBytes) - mean) ** 2 / squares;
}

/** The middle of the values, and how far above it the next one lies at most, in 95 of 100 cases. */
function nextOf(values: readonly number[], { parameters, leverage }: { parameters: number; leverage: number }) {
  const kept = withoutStrangers(values);
  const mean = kept.reduce((sum, value) => sum + value, 0) / kept.length;
  const squares = kept.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const freedom = PRIOR_JOBS + kept.length - parameters;
  const deviation = Math.sqrt((PRIOR_JOBS * PRIOR_DEVIATION ** 2 + squares) / freedom);
  return { mean, upper: studentP95(freedom) * deviation * Math.sqrt(1 + 1 / kept.length + leverage) };
}

/** Values far off the others are drawn in: one strange job must not decide what all are given. */
function withoutStrangers(values: readonly number[]): readonly number[] {
  if (values.length < ASKED) return values;
  const middle = medianOf(values);
  const deviation = MAD_TO_DEVIATION * medianOf(values.map((value) => Math.abs(value - middle)));
  const most = MAX_DEVIATIONS * Math.max(LEAST_DEVIATION, deviation);
  return values.map((value) => Math.max(middle - most, Math.min(middle + most, value)));
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(half)] ?? 0) + (sorted[Math.ceil(half)] ?? 0)) / 2;
}

/**
 * The 95th percentile of Student's t, by its expansion around the normal one (Abramowitz and Stegun, 26.7.5): 2.12 in place
 * of 2.13 for 4 degrees of freedom, nearer for more.
 */
function studentP95(freedom: number): number {
  const z = P95_NORMAL;
  return z + (z ** 3 + z) / (4 * freedom) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * freedom ** 2);
}

/** Durations of the last jobs that came to their end, scaled to the size of this input; sorted. */
export function fewDurationsMs(recent: readonly RecentJob[], inputBytes: number): readonly number[] {
  return recent
    .slice(-ASKED)
    .filter(({ durationMs }) => durationMs > 0)
    .map((job) => job.durationMs * Math.min(MAX_GROWTH, growth(inputBytes, job.inputBytes)))
    .toSorted((a, b) => a - b);
}

function growth(inputBytes: number, seenBytes: number): number {
  return seenBytes > 0 ? Math.max(1, inputBytes / seenBytes) : 1;
}
