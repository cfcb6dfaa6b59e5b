/**
 * Resizes images as Pillow does, but without rounding in between: each pixel is the mean of those below it, weighted by a
 * filter that is as wide as the image gets smaller, so that nothing is skipped. Pure.
 */
import type { Pixels } from "./decode-image.ts";

export type ResizeFilter = "nearest" | "bilinear" | "bicubic";

/** One side of an image: it gets this long, and these pixels of it are wanted. */
export interface Side {
  readonly length: number;
  readonly from: number;
  readonly count: number;
}

interface Kernel {
  readonly support: number;
  readonly weightAt: (distance: number) => number;
}

const kernels: Readonly<Record<Exclude<ResizeFilter, "nearest">, Kernel>> = {
  bilinear: { support: 1, weightAt: (distance) => Math.max(0, 1 - distance) },
  bicubic: { support: 2, weightAt: cubic },
};

/** With the parameter that Pillow has, -0.5. */
function cubic(x: number): number {
  const a = -0.5;
  if (x < 1) return (a + 2) * x ** 3 - (a + 3) * x ** 2 + 1;
  return x < 2 ? a * x ** 3 - 5 * a * x ** 2 + 8 * a * x - 4 * a : 0;
}

/** For one pixel of the new side: the first pixel of the old one that counts, and how much each from there on does. */
interface Taps {
  readonly first: number;
  readonly weights: readonly number[];
}

function tapsOf(oldLength: number, { length, from, count }: Side, filter: ResizeFilter): Taps[] {
  const step = oldLength / length;
  const wide = Math.max(1, step);
  return Array.from({ length: count }, (_, at): Taps => {
    const centre = (from + at + 0.5) * step;
    if (filter === "nearest") return { first: Math.min(oldLength - 1, Math.floor(centre)), weights: [1] };
    const { support, weightAt } = kernels[filter];
    const first = Math.max(0, Math.floor(centre - support * wide + 0.5));
    const end = Math.min(oldLength, Math.floor(centre + support * wide + 0.5));
    const weights = Array.from({ length: end - first }, (_, tap) =>
      weightAt(Math.abs((first + tap + 0.5 - centre) / wide)),
    );
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/** Floats of 0 to 255, one pixel right behind the other. */
export type Resampled = Pick<Pixels, "width" | "height" | "channels"> & { readonly data: Float32Array };

/** The wanted part of an image that was resized, without the pixels around it ever being made. */
export function resample(
  image: Pixels,
  to: { readonly across: Side; readonly down: Side; readonly filter: ResizeFilter },
): Resampled {
  const { across, down, filter } = to;
  const columns = tapsOf(image.width, across, filter);
  const rows = tapsOf(image.height, down, filter);
  const top = Math.min(...rows.map(({ first }) => first));
  const bottom = Math.max(...rows.map(({ first, weights }) => first + weights.length));
  const { channels, stride } = image;
  const wide = new Float32Array((bottom - top) * columns.length * channels);
  // One row at a time as floats: the loop over the weights is several times slower where arrays of two kinds come to it.
  const line = new Float32Array(image.width * stride);
  for (let row = top; row < bottom; row += 1) {
    line.set(image.data.subarray(row * line.length, (row + 1) * line.length));
    const target = { data: wide, start: (row - top) * columns.length * channels, stride: channels };
    layMeans({ data: line, start: 0, stride, scale: image.scale }, columns, target, channels);
  }
  const data = new Float32Array(rows.length * columns.length * channels);
  const shifted = rows.map(({ first, weights }) => ({ first: first - top, weights }));
  const rowStride = columns.length * channels;
  for (let column = 0; column < columns.length; column += 1) {
    const start = column * channels;
    layMeans({ data: wide, start, stride: rowStride, scale: 1 }, shifted, { data, start, stride: rowStride }, channels);
  }
  return { width: columns.length, height: rows.length, channels, data };
}

/** A line of pixels: where it starts, and how far it is to the next pixel. */
interface Line {
  readonly data: Float32Array;
  readonly start: number;
  readonly stride: number;
}

type Source = Line & Pick<Pixels, "scale">;

/** Writes a pixel for each entry of `taps`. */
function layMeans(source: Source, taps: readonly Taps[], target: Line, channels: number): void {
  for (const [at, { first, weights }] of taps.entries()) {
    for (let channel = 0; channel < channels; channel += 1) {
      let sum = 0;
      for (let tap = 0; tap < weights.length; tap += 1) {
        sum += (source.data[source.start + (first + tap) * source.stride + channel] ?? 0) * (weights[tap] ?? 0);
      }
      target.data[target.start + at * target.stride + channel] = sum * source.scale;
    }
  }
}
