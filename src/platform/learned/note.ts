/** What one measured process adds to the state of its class, and whether it was far from what was expected. Pure. */
import type { Expectation } from "../../contract/expectation.ts";
import { MiB } from "../../contract/resources.ts";
import { decideOutlier, type Outlier } from "./anomaly.ts";
import type { ClassModel } from "./class-model.ts";
import { fits, SHAPE_BINS, sumNames, type Coverage, type RecentJob, type Target } from "./class-state.ts";
import { lineTerms } from "./regression.ts";
import { bucketAt, ratioScale, scales, SHARE_BUCKETS, type ScaleName } from "./sketch.ts";

/** One process that has ended, or (`at-least`) that took this much before it was done: it runs still, or was ended. */
export interface Measure {
  readonly kind: "ended" | "at-least";
  readonly inputBytes: number;
  readonly peakBytes: number;
  readonly durationMs: number;
  readonly cpuMs: number;
  /** Bytes read and written; null when nobody could tell. */
  readonly ioBytes: number | null;
  /** Its peak on the GPU on which it took most; null when it was seen on none. */
  readonly gpuBytes: number | null;
  /** For each tenth of its life the share of its peak that it had come to; null when it was too short to tell. */
  readonly shape: readonly number[] | null;
  /** How much it counts; a job counts 1, one of a calibration more. */
  readonly weight: number;
  /** How many jobs it stands for. */
  readonly jobs: number;
}

export interface Note {
  readonly sums: ReadonlyMap<string, number>;
  readonly recent: RecentJob;
  readonly jobs: number;
  readonly outliers: readonly Outlier[];
}

/** Shorter processes have used too few ticks of the clock that counts CPU time to tell their cores. */
const CPU_AFTER_MS = 50;
const LEAST_MS = 0.1;

/** What to add for a measure. `model` is what was known before; without it nothing was expected. */
export function noteOf(measure: Measure, model: ClassModel | undefined, expected: Expectation | undefined): Note {
  const sums = new Map<string, number>();
  const adder: Adder = {
    add: (field, amount) => sums.set(field, (sums.get(field) ?? 0) + amount * measure.weight),
    count: (scale, value) => {
      adder.add(`${scale}:${bucketAt(scales[scale], value)}`, 1);
    },
  };
  const outliers: Outlier[] = [];
  adder.add("w", 1);
  adder.count("size", measure.inputBytes);
  noteTarget(adder, { target: "memory", measure, model, value: measure.peakBytes }, outliers);
  noteTarget(adder, { target: "gpu", measure, model, value: measure.gpuBytes ?? 0 }, outliers);
  if (measure.kind === "ended") {
    noteTarget(adder, { target: "duration", measure, model, value: Math.max(LEAST_MS, measure.durationMs) }, outliers);
    noteRates(adder, measure);
  }
  const recent: RecentJob = {
    inputBytes: measure.inputBytes,
    peakBytes: measure.peakBytes,
    durationMs: measure.kind === "ended" ? Math.max(1, measure.durationMs) : 0,
    coverage: coverageOf(measure, expected),
    ...(measure.gpuBytes !== null && { gpuBytes: measure.gpuBytes }),
  };
  return { sums, recent, jobs: measure.kind === "ended" ? measure.jobs : 0, outliers };
}

/** The note that takes an earlier one back. What was noted of a job one by one stays: it was seen. */
export function retractionOf(note: Note): ReadonlyMap<string, number> {
  return new Map([...note.sums].map(([field, amount]) => [field, -amount]));
}

interface Adder {
  add(field: string, amount: number): void;
  count(scale: ScaleName, value: number): void;
}

interface TargetNote {
  readonly target: Target;
  readonly measure: Measure;
  readonly model: ClassModel | undefined;
  readonly value: number;
}

function noteTarget(adder: Adder, { target, measure, model, value }: TargetNote, outliers: Outlier[]): void {
  const { inputBytes } = measure;
  if (!(value > 0)) return;
  const outlier = model === undefined ? undefined : decideOutlier(target, value, model, inputBytes);
  if (outlier !== undefined) outliers.push(outlier);
  // One job in a thousand that takes ten times as much must not decide what all others are given.
  const learned = Math.min(value, outlier?.learnAs ?? value);
  adder.count(target, learned);
  for (const fit of fits) {
    const terms = lineTerms(fit, inputBytes, learned / (target === "duration" ? 1_000 : MiB));
    for (const name of sumNames) adder.add(`${target}/${fit}.${name}`, terms[name]);
    const predicted = model?.lineAt(target, fit, inputBytes);
    if (predicted !== undefined) adder.add(`${target}/${fit}:${bucketAt(ratioScale, learned / predicted)}`, 1);
  }
}

function noteRates(adder: Adder, { durationMs, cpuMs, ioBytes, shape }: Measure): void {
  if (durationMs >= CPU_AFTER_MS) {
    adder.count("cpu", cpuMs / durationMs);
    if (ioBytes !== null) adder.count("io", (ioBytes / durationMs) * 1_000);
  }
  if (shape?.length !== SHAPE_BINS) return;
  for (const [bin, share] of shape.entries()) {
    const bucket = Math.min(SHARE_BUCKETS, Math.max(0, Math.ceil(share * SHARE_BUCKETS - 1e-9)));
    adder.add(`shape${bin}:${bucket}`, 1);
  }
}

function coverageOf({ kind, peakBytes }: Measure, expected: Expectation | undefined): Coverage {
  if (expected === undefined || expected.samples === 0) return "open";
  if (peakBytes > expected.memoryBytes.p95) return kind === "ended" ? "beyond" : "open";
  return kind === "ended" ? "within" : "open";
}
