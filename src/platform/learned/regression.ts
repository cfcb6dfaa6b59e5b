/**
 * A line through what was measured, over the size of the input, from sums that can be added to. Two kinds: `lin` minimises
 * the relative error (each job weighs 1/y², or the largest ones alone would decide), `log` draws the line through the
 * logarithms of both. Which of the two says more is found out by their errors (see class-model.ts).
 */
import { MiB } from "../../contract/resources.ts";
import type { Fit } from "./class-state.ts";

export interface LineSums {
  readonly w: number;
  readonly x: number;
  readonly xx: number;
  readonly y: number;
  readonly xy: number;
}

/** `level` at input size 0, `slope` for each unit of it, in the units of the fit. */
export interface Line {
  readonly level: number;
  readonly slope: number;
}

const KIB = 1024;
/** Sizes that differ by less than this share of themselves are one size. */
const LEAST_VARIANCE = 1e-6;

/** What one measurement adds. `y` is positive. */
export function lineTerms(fit: Fit, inputBytes: number, y: number): LineSums {
  const x = abscissa(fit, inputBytes);
  if (fit === "log") return { w: 1, x, xx: x * x, y: Math.log(y), xy: x * Math.log(y) };
  const w = 1 / (y * y);
  return { w, x: w * x, xx: w * x * x, y: w * y, xy: w * x * y };
}

/** The line, level where the sizes say nothing or would say that larger inputs take less; undefined without a sum. */
export function lineOf({ w, x, xx, y, xy }: LineSums): Line | undefined {
  if (!(w > 0)) return undefined;
  const variance = w * xx - x * x;
  const slope = variance > LEAST_VARIANCE * w * xx ? (w * xy - x * y) / variance : 0;
  if (!(slope > 0)) return { level: y / w, slope: 0 };
  return { level: (y - slope * x) / w, slope };
}

/** What the line says for an input of this size; undefined where it says nothing that could be. */
export function atLine(fit: Fit, { level, slope }: Line, inputBytes: number): number | undefined {
  const value = level + slope * abscissa(fit, inputBytes);
  const y = fit === "log" ? Math.exp(value) : value;
  return Number.isFinite(y) && y > 0 ? y : undefined;
}

/** The size of an input as the fit looks at it. */
export function abscissa(fit: Fit, inputBytes: number): number {
  return fit === "log" ? Math.log(KIB + inputBytes) : inputBytes / MiB;
}
