/**
 * Histograms whose buckets are all of one relative width, as sparse counts of weight. Two of them are added bucket by
 * bucket, so that many workers fill one without reading it first, and a quantile is off by one width at most.
 */

export interface Scale {
  /** The upper edge of bucket 0; all below is in it. */
  readonly base: number;
  /** What one bucket is wider than the one before. */
  readonly growth: number;
  readonly lowest: number;
  readonly highest: number;
}

const FINE = 1.05;
const MEBI = 1024 * 1024;

/** What is counted, by the name that its buckets carry. */
export const scales = {
  /** Peak memory of a process, in bytes. */
  memory: { base: MEBI, growth: FINE, lowest: 0, highest: 400 },
  /** In ms. */
  duration: { base: 1, growth: FINE, lowest: 0, highest: 500 },
  /** CPU time over duration. */
  cpu: { base: 0.01, growth: FINE, lowest: 0, highest: 250 },
  /** Bytes read and written per second. */
  io: { base: 1024, growth: FINE, lowest: 0, highest: 400 },
  /** Memory of one GPU, in bytes. */
  gpu: { base: MEBI, growth: FINE, lowest: 0, highest: 400 },
  /** Bytes of input. */
  size: { base: 1024, growth: 2, lowest: 0, highest: 60 },
} as const satisfies Record<string, Scale>;
export type ScaleName = keyof typeof scales;

/** What was measured over what was predicted. */
export const ratioScale: Scale = { base: 1, growth: 1.02, lowest: -250, highest: 250 };
/** A share of the whole, from 0 to 1. */
export const SHARE_BUCKETS = 20;

/** Weight by bucket. A bucket that lost more than it had counts as empty. */
export type Histogram = ReadonlyMap<number, number>;

export function bucketAt(scale: Scale, value: number): number {
  const at = Math.ceil(Math.log(Math.max(value, Number.MIN_VALUE) / scale.base) / Math.log(scale.growth) - 1e-9);
  return Math.min(scale.highest, Math.max(scale.lowest, at));
}

export function weightOf(histogram: Histogram): number {
  let sum = 0;
  for (const weight of histogram.values()) sum += Math.max(0, weight);
  return sum;
}

/**
 * The place below which this share of the weight lies, in buckets: 2.5 is in the middle of bucket 3. The weight of a bucket is
 * taken to be spread evenly over it. One with more than half of all weight may hold one value only, anywhere in it: what is
 * to lie above or below most of the weight is its edge then. Undefined for an empty histogram.
 */
export function quantilePlace(histogram: Histogram, share: number): number | undefined {
  const total = weightOf(histogram);
  const target = share * total;
  const buckets = [...histogram].filter(([, weight]) => weight > 0).toSorted(([a], [b]) => a - b);
  let below = 0;
  for (const [bucket, weight] of buckets) {
    if (below + weight >= target - 1e-9) {
      const part = weight > total / 2 && share !== 0.5 ? Math.round(share) : (target - below) / weight;
      return bucket - 1 + Math.min(1, Math.max(0, part));
    }
    below += weight;
  }
  return buckets.at(-1)?.[0];
}

/** The value that this share of the weight stays below. */
export function quantile(scale: Scale, histogram: Histogram, share: number): number | undefined {
  const place = quantilePlace(histogram, share);
  return place === undefined ? undefined : scale.base * scale.growth ** Math.max(scale.lowest, place);
}

/** Median, and the median of the distances from it, in the unit of the buckets: finer than one, since jobs lie all over it. */
export function medianAndDeviation(histogram: Histogram): { median: number; deviation: number } | undefined {
  const median = middleOf([...histogram].map(([bucket, weight]) => [bucket - 0.5, weight]));
  if (median === undefined) return undefined;
  // Each bucket is taken in slices, or the one with the median in it would count as no distance at all.
  const distances = [...histogram].flatMap(([bucket, weight]) =>
    Array.from({ length: SLICES }, (_, slice): [number, number] => [
      Math.abs(bucket - 1 + (slice + 0.5) / SLICES - median),
      weight / SLICES,
    ]),
  );
  return { median, deviation: middleOf(distances) ?? 0 };
}

const SLICES = 4;

/** The place below which half of the weight lies; each weight is spread evenly from one half before its place to one after. */
function middleOf(weights: readonly [place: number, weight: number][]): number | undefined {
  const sorted = weights.filter(([, weight]) => weight > 0).toSorted(([a], [b]) => a - b);
  const half = sorted.reduce((sum, [, weight]) => sum + weight, 0) / 2;
  let below = 0;
  for (const [at, [place, weight]] of sorted.entries()) {
    if (below + weight >= half) {
      const next = sorted[at + 1]?.[0] ?? place;
      const previous = sorted[at - 1]?.[0] ?? place;
      const width = Math.min(1, sorted.length === 1 ? 1 : Math.max(place - previous, next - place));
      return place + ((half - below) / weight - 0.5) * width;
    }
    below += weight;
  }
  return undefined;
}
