/**
 * What is known of a class, made ready to answer. For memory, that of a GPU and for duration three predictors compete: the plain
 * histogram, and two lines over the size of the input times what was measured over what they predicted; the one whose p95
 * is least far from its p50 answers. With few jobs the jobs themselves do (few-jobs.ts): below forty for memory, below
 * eight for duration.
 */
import type { Expectation, Spread } from "../../contract/expectation.ts";
import { MiB } from "../../contract/resources.ts";
import {
  fits,
  histogramsOf,
  MAX_RECENT,
  SHAPE_BINS,
  sumOf,
  samplesOf,
  targets,
  type ClassState,
  type Fit,
  type Target,
} from "./class-state.ts";
import { fewDurationsMs, fewPeaks } from "./few-jobs.ts";
import { atLine, lineOf, type Line } from "./regression.ts";
import {
  medianAndDeviation,
  quantile,
  quantilePlace,
  ratioScale,
  scales,
  SHARE_BUCKETS,
  weightOf,
  type Histogram,
} from "./sketch.ts";

/** With fewer jobs than this the histogram of a predictor says nothing. */
export const ENOUGH = 8;
/** With fewer jobs than are kept one by one, those say more of memory than any histogram. */
const MANY = MAX_RECENT;
/** A line through fewer points is a guess. */
const LINE_AFTER = 3;
/** One trace is the life of one process. */
const SHAPE_AFTER = 2;
const P95 = 0.95;
const P05 = 0.05;
/** Each file is asked for some times, by the scan, at its start and at its end. */
const MAX_PREDICTIONS = 512;
/** The unit in which the lines of a target are drawn, in the unit of its scale. */
const lineUnit = { memory: MiB, duration: 1_000, gpu: MiB } as const satisfies Record<Target, number>;

interface Predictor {
  /** `plain` does not look at the size of the input. */
  readonly fit: Fit | "plain";
  readonly line: Line | undefined;
  /** Of measured values, or of measured over predicted. */
  readonly spread: Histogram;
  readonly samples: number;
}

/** The middle of what is expected, and how far off jobs usually are, as logarithms. */
export interface Centre {
  readonly predicted: number;
  readonly medianLog: number;
  readonly deviationLog: number;
  readonly samples: number;
}

export class ClassModel {
  readonly state: ClassState;
  /** The largest peak of the jobs that are kept one by one. */
  readonly largestPeakBytes: number;
  /** The same of the memory of a GPU; 0 where none was measured. */
  readonly largestGpuBytes: number;
  readonly #histograms: ReadonlyMap<string, Histogram>;
  readonly #lines = new Map<string, Line>();
  readonly #predictors: Readonly<Record<Target, Predictor>>;
  readonly #life: Pick<Expectation, "shape" | "usual" | "shown">;
  readonly #largestInput: number;
  /** Quantiles and middles are asked for each file of a scan, and the state stands still. */
  readonly #predictions = new Map<number, Expectation>();
  readonly #answers = new Map<string, number>();
  readonly #middles = new Map<Target, ReturnType<typeof medianAndDeviation>>();

  constructor(state: ClassState) {
    this.state = state;
    this.largestPeakBytes = Math.max(0, ...state.recent.map(({ peakBytes }) => peakBytes));
    this.largestGpuBytes = Math.max(0, ...state.recent.map(({ gpuBytes = 0 }) => gpuBytes));
    this.#histograms = histogramsOf(state);
    for (const target of targets) {
      for (const fit of fits) this.#draw(target, fit);
    }
    const [memory, duration, gpu] = [this.#choose("memory"), this.#choose("duration"), this.#choose("gpu")];
    this.#predictors = { memory, duration, gpu };
    this.#life = this.#lifeOf();
    const largest = Math.max(0, ...(this.#histograms.get("size")?.keys() ?? []));
    this.#largestInput = scales.size.base * scales.size.growth ** largest;
  }

  /** How many jobs it rests on. The past fades, so this is not how many there ever were. */
  get samples(): number {
    return samplesOf(this.state);
  }

  /** How many of them were seen on a GPU. */
  get gpuSamples(): number {
    return Math.min(this.samples, this.#predictors.gpu.samples);
  }

  /** What a line says of an input, in the unit of the target; undefined without one. What ratios are taken to. */
  lineAt(target: Target, fit: Fit, inputBytes: number): number | undefined {
    const line = this.#lines.get(`${target}/${fit}`);
    const value = line === undefined ? undefined : atLine(fit, line, inputBytes);
    return value === undefined ? undefined : value * lineUnit[target];
  }

  /** What one process of the class is expected to take; undefined while its memory was not measured. */
  predict(inputBytes: number): Expectation | undefined {
    const known = this.#predictions.get(inputBytes);
    if (known !== undefined) return known;
    if (this.#predictions.size >= MAX_PREDICTIONS) this.#predictions.clear();
    const prediction = this.#predict(inputBytes);
    if (prediction !== undefined) this.#predictions.set(inputBytes, prediction);
    return prediction;
  }

  #predict(inputBytes: number): Expectation | undefined {
    if (this.samples <= 0 || this.largestPeakBytes === 0) return undefined;
    return {
      basis: "learned",
      samples: Math.max(1, Math.round(this.samples)),
      memoryBytes: this.#memory(inputBytes),
      durationMs: this.#duration(inputBytes),
      cpuCores: this.#plainSpread("cpu"),
      ioBytesPerSecond: this.#plainSpread("io"),
      gpuMemoryBytes: this.gpuMemory(inputBytes),
      ...this.#life,
    };
  }

  /** Where the middle of a target lies for an input of this size; undefined with too few jobs to tell. */
  centre(target: Target, inputBytes: number, least: number): Centre | undefined {
    const { fit, spread } = this.#predictors[target];
    const samples = Math.min(this.samples, this.#predictors[target].samples);
    if (samples < least) return undefined;
    const middle = this.#middles.has(target) ? this.#middles.get(target) : medianAndDeviation(spread);
    this.#middles.set(target, middle);
    if (middle === undefined) return undefined;
    const scale = fit === "plain" ? scales[target] : ratioScale;
    const unit = Math.log(scale.growth);
    const predicted = fit === "plain" ? scale.base : this.lineAt(target, fit, inputBytes);
    if (predicted === undefined) return undefined;
    return { predicted, medianLog: middle.median * unit, deviationLog: middle.deviation * unit, samples };
  }

  /** Which predictor answers for a target now. */
  chosen(target: Target): Fit | "plain" {
    return this.#predictors[target].fit;
  }

  #draw(target: Target, fit: Fit): void {
    if (this.samples < LINE_AFTER) return;
    const sum = (name: string) => sumOf(this.state, `${target}/${fit}.${name}`);
    const line = lineOf({ w: sum("w"), x: sum("x"), xx: sum("xx"), y: sum("y"), xy: sum("xy") });
    if (line !== undefined) this.#lines.set(`${target}/${fit}`, line);
  }

  #choose(target: Target): Predictor {
    const plain = this.#histograms.get(target) ?? new Map<number, number>();
    let best: Predictor = { fit: "plain", line: undefined, spread: plain, samples: weightOf(plain) };
    let least = spreadOf(plain, Math.log(scales[target].growth));
    for (const fit of fits) {
      const spread = this.#histograms.get(`${target}/${fit}`);
      const line = this.#lines.get(`${target}/${fit}`);
      if (spread === undefined || line === undefined || weightOf(spread) < ENOUGH) continue;
      const width = spreadOf(spread, Math.log(ratioScale.growth));
      if (width >= least) continue;
      least = width;
      best = { fit, line, spread, samples: weightOf(spread) };
    }
    return best;
  }

  #memory(inputBytes: number): Spread {
    const { recent } = this.state;
    const samples = this.samples;
    if (samples < MANY) return fewPeaks(recent, inputBytes, samples);
    return this.#manyPeaks("memory", inputBytes, Math.min(samples, this.#predictors.memory.samples));
  }

  /**
   * What one process is expected to take of a GPU; undefined where no job was seen on one. Not all of a class may be: its samples
   * are those that were.
   */
  gpuMemory(inputBytes: number): Expectation["gpuMemoryBytes"] {
    const samples = this.gpuSamples;
    if (samples <= 0) return undefined;
    const seen = this.state.recent.flatMap((job) => (job.gpuBytes ? [{ ...job, peakBytes: job.gpuBytes }] : []));
    const isFew = samples < MANY && seen.length > 0;
    const spread = isFew ? fewPeaks(seen, inputBytes, samples) : this.#manyPeaks("gpu", inputBytes, samples);
    return { basis: "learned", ...spread };
  }

  #manyPeaks(target: "memory" | "gpu", inputBytes: number, samples: number): Spread {
    const high = Math.ceil(this.#quantile(target, inputBytes, nextShare(samples)));
    const p50 = this.#quantile(target, inputBytes, 0.5);
    return { p50: Math.min(high, Math.ceil(p50)), p95: high };
  }

  #duration(inputBytes: number): Expectation["durationMs"] {
    if (this.samples >= ENOUGH && this.#predictors.duration.samples >= ENOUGH) {
      const p05 = this.#quantile("duration", inputBytes, 0.05);
      const p50 = Math.max(p05, this.#quantile("duration", inputBytes, 0.5));
      return { p05, p50, p95: Math.max(p50, this.#quantile("duration", inputBytes, P95)) };
    }
    const seen = fewDurationsMs(this.state.recent, inputBytes);
    const [shortest] = seen;
    const longest = seen.at(-1);
    if (shortest === undefined || longest === undefined) return undefined;
    const p50 = seen[Math.floor((seen.length - 1) / 2)] ?? longest;
    return { p05: shortest / 2, p50, p95: longest * (1 + 1 / Math.sqrt(seen.length)) };
  }

  /** The quantile that the chosen predictor gives. What was never seen of a larger input is at least what a smaller took. */
  #quantile(target: Target, inputBytes: number, share: number): number {
    const { fit, spread } = this.#predictors[target];
    const plain = this.#histograms.get(target) ?? new Map<number, number>();
    const plainValue = this.#answer(`${target}:${share}`, () => quantile(scales[target], plain, share) ?? 0);
    if (fit === "plain") return plainValue;
    const predicted = this.lineAt(target, fit, inputBytes) ?? plainValue;
    const value = predicted * this.#answer(`${target}/${share}`, () => quantile(ratioScale, spread, share) ?? 1);
    const least = this.#answer(`${target}:least`, () => quantile(scales[target], plain, 0) ?? 0);
    const isBeyond = inputBytes > 2 * this.#largestInput;
    return Math.max(value, isBeyond && share >= P95 ? plainValue : 0, least);
  }

  #answer(name: string, ask: () => number): number {
    const known = this.#answers.get(name);
    if (known !== undefined) return known;
    const answer = ask();
    this.#answers.set(name, answer);
    return answer;
  }

  #plainSpread(name: "cpu" | "io"): Spread | undefined {
    const histogram = this.#histograms.get(name);
    if (histogram === undefined) return undefined;
    const quantileOf = (share: number) =>
      this.#answer(`${name}:${share}`, () => quantile(scales[name], histogram, share) ?? 0);
    return { p50: quantileOf(0.5), p95: quantileOf(P95) };
  }

  /** Never falls: a process that gave memory back early may do so late the next time. */
  #lifeOf(): Pick<Expectation, "shape" | "usual" | "shown"> {
    const bins = Array.from({ length: SHAPE_BINS }, (_, bin) => this.#histograms.get(`shape${bin}`));
    let [most, half, least] = [0, 0, 0];
    const shape: number[] = [];
    const usual: number[] = [];
    const shown: number[] = [];
    for (const bin of bins) {
      if (bin === undefined || weightOf(bin) < SHAPE_AFTER) return { shape: undefined };
      most = Math.max(most, shareOf(bin, P95));
      half = Math.max(half, shareOf(bin, 0.5));
      least = Math.max(least, shareOf(bin, P05));
      shape.push(most);
      usual.push(half);
      shown.push(least);
    }
    shape[SHAPE_BINS - 1] = 1;
    return { shape, usual, shown };
  }
}

/** What this part of them stays below, as a share of the peak. */
function shareOf(bin: Histogram, part: number): number {
  return (quantilePlace(bin, part) ?? 0) / SHARE_BUCKETS;
}

/**
 * Below which share of so many jobs the next one stays in 95 of 100 cases: a little more than 0.95, for it is one more
 * itself (split conformal prediction: Lei et al., "Distribution-Free Predictive Inference for Regression", 2018).
 */
function nextShare(samples: number): number {
  return Math.min(1, (P95 * (samples + 1)) / Math.max(1, samples));
}

/** How far p95 lies above p50, as a logarithm. */
function spreadOf(histogram: Histogram, unit: number): number {
  const high = quantilePlace(histogram, P95);
  const middle = quantilePlace(histogram, 0.5);
  return high === undefined || middle === undefined ? Infinity : (high - middle) * unit;
}
