/**
 * How the memory of one process went over its life, in a fixed number of points: when they are full, each two neighbours
 * become one (the larger), and from then on twice as many samples make one point.
 */
import { SHAPE_BINS } from "../../platform/learned/class-state.ts";

const MAX_POINTS = 40;
/** Fewer points say nothing of the ten tenths of a life. */
const LEAST_POINTS = 10;
/** A peak that the samples missed by more than this came at a time that nobody knows. */
const MISSED_RATIO = 0.9;

interface Point {
  /** Since the start, in ms. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly bytes: number;
}

export class MemoryTrace {
  #points: Point[] = [];
  #samplesPerPoint = 1;
  #samplesInLast = 0;
  #peakBytes = 0;
  #ioBytes: number | null = null;

  get peakBytes(): number {
    return this.#peakBytes;
  }

  /** Bytes read from and written to disks, as last seen; null when nobody could tell. */
  get ioBytes(): number | null {
    return this.#ioBytes;
  }

  add(elapsedMs: number, bytes: number, ioBytes: number | null): void {
    this.#peakBytes = Math.max(this.#peakBytes, bytes);
    if (ioBytes !== null) this.#ioBytes = Math.max(this.#ioBytes ?? 0, ioBytes);
    const last = this.#points.at(-1);
    if (last !== undefined && this.#samplesInLast < this.#samplesPerPoint) {
      this.#points[this.#points.length - 1] = joined(last, { fromMs: elapsedMs, toMs: elapsedMs, bytes });
      this.#samplesInLast += 1;
      return;
    }
    if (this.#points.length >= MAX_POINTS) this.#halve();
    this.#points.push({ fromMs: elapsedMs, toMs: elapsedMs, bytes });
    this.#samplesInLast = 1;
  }

  /**
   * For each tenth of the duration the share of the peak that the process had come to by then; null when there are too few
   * samples to say. What happened between two samples counts as the larger of the two.
   */
  shape(durationMs: number, peakBytes: number): number[] | null {
    const points = this.#points;
    if (points.length < LEAST_POINTS || !(durationMs > 0) || !(peakBytes > 0)) return null;
    if (this.#peakBytes < MISSED_RATIO * peakBytes) return null;
    const shape: number[] = [];
    for (let bin = 0; bin < SHAPE_BINS; bin += 1) {
      const from = (bin / SHAPE_BINS) * durationMs;
      const to = ((bin + 1) / SHAPE_BINS) * durationMs;
      const first = points.findLastIndex((point) => point.toMs <= from);
      const after = points.findIndex((point) => point.fromMs >= to);
      const seen = points.slice(Math.max(0, first), after < 0 ? undefined : after + 1);
      const most = Math.max(...seen.map(({ bytes }) => bytes));
      shape.push(Math.min(1, most / this.#peakBytes));
    }
    return shape;
  }

  #halve(): void {
    this.#points = this.#points.flatMap((point, at) => {
      const next = this.#points[at + 1];
      if (at % 2 === 1) return [];
      return [next === undefined ? point : joined(point, next)];
    });
    this.#samplesPerPoint *= 2;
  }
}

function joined(a: Point, b: Point): Point {
  return { fromMs: a.fromMs, toMs: b.toMs, bytes: Math.max(a.bytes, b.bytes) };
}
