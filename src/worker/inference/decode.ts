/** What the output of a model says of each file. */
import type { FileInference, ScoredLabel } from "../../contract/inference.ts";
import type { TensorManifest } from "../../contract/model-manifest.ts";
import type { Failure } from "../result/outcome.ts";
import type { OnnxOutput } from "./onnx.ts";

/** One row of the outputs that a task reads; `filled`: how many of its places are no padding, where that differs. */
export interface RowOutput {
  readonly outputs: readonly OnnxOutput[];
  readonly row: number;
  readonly filled: number | undefined;
}

/** Of the rows of one file: more than one are its parts, and count by what is filled of them. */
export type Decoder = (parts: readonly RowOutput[]) => FileInference | Failure;

type Of<T extends TensorManifest["task"]> = Extract<TensorManifest, { task: T }>;

export function createDecoder(
  manifest: Exclude<TensorManifest, { task: "custom" }>,
  labels: readonly string[],
): Decoder {
  switch (manifest.task) {
    case "classify":
      return (parts) => classify(manifest, labels, parts);
    case "multi-label":
      return (parts) => multiLabel(manifest, labels, parts);
    case "regress":
      return (parts) => regress(manifest, mean(parts, parts.map(rowOf)));
    case "embed":
      return (parts) => embed(manifest, parts);
  }
}

/** Values that one file has in an output of this shape. */
export function widthOf({ dims }: Pick<OnnxOutput, "dims">): number {
  return dims.slice(1).reduce((product, size) => product * size, 1);
}

/** The output of tasks that read one. */
function onlyOf({ outputs: [output] }: RowOutput): OnnxOutput {
  if (output === undefined) throw new TypeError("expected an output, found none");
  return output;
}

function rowOf(part: RowOutput): number[] {
  const [output, { row }] = [onlyOf(part), part];
  const width = widthOf(output);
  return Array.from({ length: width }, (_, at) => output.data[row * width + at] ?? Number.NaN);
}

/** The mean of the parts' values, each by what is filled of the part. */
function mean(parts: readonly RowOutput[], values: readonly ArrayLike<number>[]): number[] {
  const [first = []] = values;
  if (values.length === 1) return Array.from(first);
  const weights = parts.map(({ filled = 1 }) => filled);
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return Array.from(first, (_, at) =>
    values.reduce((total, own, part) => total + ((own[at] ?? Number.NaN) * (weights[part] ?? 0)) / sum, 0),
  );
}

function notNumbers(): Failure {
  return { class: "bad-output", message: "expected numbers from the model, found a value that is none (NaN)" };
}

function classify(
  { output }: Of<"classify">,
  labels: readonly string[],
  parts: readonly RowOutput[],
): FileInference | Failure {
  const values = parts.map(rowOf);
  const shares = mean(parts, output.activation === "softmax" ? values.map(softmax) : values);
  if (shares.some((share) => Number.isNaN(share))) return notNumbers();
  const ranked = best(shares, output.top).map((at) => scored(labels, at, shares[at]));
  const [first] = ranked;
  if (first === undefined) return notNumbers();
  const isSure = first.confidence >= thresholdOf(output.thresholds, first.label);
  const label = isSure ? first.label : output.fallback;
  return { label, confidence: first.confidence, value: { task: "classify", labels: ranked } };
}

function multiLabel(
  { output }: Of<"multi-label">,
  labels: readonly string[],
  parts: readonly RowOutput[],
): FileInference | Failure {
  const [first = [], ...others] = parts.map(rowOf);
  // What is in a part of a file is in the file.
  const values = first.map((value, at) => Math.max(value, ...others.map((other) => other[at] ?? Number.NaN)));
  const shares = output.activation === "sigmoid" ? values.map((value) => 1 / (1 + Math.exp(-value))) : values;
  if (shares.some((share) => Number.isNaN(share))) return notNumbers();
  const told = shares
    .map((share, at) => scored(labels, at, share))
    .filter(({ label, confidence }, at) => (shares[at] ?? confidence) >= thresholdOf(output.thresholds, label))
    .sort((a, b) => b.confidence - a.confidence);
  const label = told[0]?.label ?? output.fallback;
  const confidence = told[0]?.confidence ?? rounded(1 - Math.max(...shares));
  return { label, confidence, value: { task: "multi-label", labels: told } };
}

function regress({ output }: Of<"regress">, values: number[]): FileInference | Failure {
  if (values.some((value) => !Number.isFinite(value))) return notNumbers();
  const { names } = output;
  const told = names === undefined ? values : Object.fromEntries(names.map((name, at) => [name, values[at] ?? 0]));
  return { label: null, confidence: null, value: { task: "regress", values: told } };
}

function embed({ output: { pool, normalize } }: Of<"embed">, parts: readonly RowOutput[]): FileInference | Failure {
  const vectors = parts.map((part) => vectorOf(pool, part));
  const lengths = new Set(vectors.map(({ length }) => length));
  if (lengths.size > 1) {
    const message = `expected one length of the vectors of all parts of a file, found ${[...lengths].join(" and ")}`;
    return { class: "bad-output", message };
  }
  const vector = Float32Array.from(mean(parts, vectors));
  if (normalize) toUnit(vector);
  if (vector.some((value) => Number.isNaN(value))) return notNumbers();
  const text = Buffer.from(vector.buffer).toString("base64");
  return { label: null, confidence: null, value: { task: "embed", vector: text } };
}

function vectorOf(pool: Of<"embed">["output"]["pool"], part: RowOutput): Float32Array {
  const [output, { row, filled }] = [onlyOf(part), part];
  const size = output.dims.at(-1) ?? 0;
  const places = widthOf(output) / Math.max(1, size);
  const from = row * places * size;
  const count = pool === "mean" ? Math.min(places, filled ?? places) : 1;
  const length = pool === "none" ? places * size : size;
  const vector = new Float32Array(length);
  for (let place = 0; place < count; place += 1) {
    for (let at = 0; at < length; at += 1) {
      vector[at] = (vector[at] ?? 0) + (output.data[from + place * size + at] ?? Number.NaN) / count;
    }
  }
  return vector;
}

function toUnit(vector: Float32Array): void {
  const length = Math.hypot(...vector);
  if (length > 0) for (let at = 0; at < vector.length; at += 1) vector[at] = (vector[at] ?? 0) / length;
}

function softmax(values: readonly number[]): number[] {
  const most = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - most));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/** Positions of the largest values, the largest first. */
function best(values: readonly number[], count: number): number[] {
  if (count > 1) {
    return [...values.keys()].sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0)).slice(0, count);
  }
  let top = 0;
  for (let at = 1; at < values.length; at += 1) if ((values[at] ?? 0) > (values[top] ?? 0)) top = at;
  return [top];
}

function scored(labels: readonly string[], at: number, share: number | undefined): ScoredLabel {
  return { label: labels[at] ?? String(at), confidence: rounded(share ?? 0) };
}

/** Six digits: what is behind them differs from machine to machine. */
function rounded(share: number): number {
  return Math.round(share * 1e6) / 1e6;
}

function thresholdOf(thresholds: { default: number; labels: Readonly<Record<string, number>> }, label: string): number {
  return Object.hasOwn(thresholds.labels, label) ? (thresholds.labels[label] ?? 0) : thresholds.default;
}
