/**
 * What all workers have measured of one class, in one Redis hash: sums that are only ever added to. Fields:
 *
 * - `v` version of this form, `name` what the class is (JSON), `n` jobs ever, `drifts` and `driftedAt`;
 * - `w` weight of all jobs; the past fades by scaling every weight down;
 * - `<scale>:<bucket>` weight of a histogram (see sketch.ts); `<target>/<fit>:<bucket>` the same of measured over predicted;
 * - `shape<tenth>:<bucket>` share of the peak that a process had come to in that tenth of its life;
 * - `<target>/<fit>.<sum>` the sums of a regression on the size of the input;
 * - `recent` the last jobs one by one: what few jobs say, how well they were predicted.
 *
 * A class whose jobs use no GPU stays in the first form, which workers of an earlier version read too.
 */
import { z } from "zod";
import { ratioScale, scales, SHARE_BUCKETS, type Histogram, type Scale } from "./sketch.ts";

/** The newest form that is read here. The first one knew nothing of the memory of GPUs, and is read as it is. */
export const LEARNED_VERSION = 2;
const FIRST_VERSION = 1;
export const SHAPE_BINS = 10;
/** Jobs that are kept one by one. */
export const MAX_RECENT = 40;

/** Whether a job stayed below what was expected of it; `open`: nothing was expected, or its end is not known. */
export type Coverage = "within" | "beyond" | "open";

export interface RecentJob {
  readonly inputBytes: number;
  readonly peakBytes: number;
  /** 0 when the job did not come to its end. */
  readonly durationMs: number;
  readonly coverage: Coverage;
  /** Peak memory on one GPU; undefined where none was measured. */
  readonly gpuBytes?: number | undefined;
}

export interface ClassName {
  readonly profile: string;
  readonly command: readonly string[];
}

export interface ClassState {
  readonly name: ClassName;
  /** Weights and sums by field. */
  readonly sums: Map<string, number>;
  recent: RecentJob[];
  jobs: number;
  drifts: number;
}

export type ParsedState =
  | { readonly kind: "none" }
  | { readonly kind: "state"; readonly state: ClassState }
  /** Written by a newer version: neither read nor written. */
  | { readonly kind: "newer"; readonly version: number }
  /** `field` with `value` is no part of a state. */
  | { readonly kind: "corrupt"; readonly field: string; readonly value: string };

export const fits = ["lin", "log"] as const;
export type Fit = (typeof fits)[number];
export const targets = ["memory", "duration", "gpu"] as const;
export type Target = (typeof targets)[number];
export const sumNames = ["w", "x", "xx", "y", "xy"] as const;

const classNameSchema = z.object({ profile: z.string(), command: z.array(z.string()) });
const letters = { within: "1", beyond: "0", open: "-" } as const satisfies Record<Coverage, string>;

export function emptyState(name: ClassName): ClassState {
  return { name, sums: new Map(), recent: [], jobs: 0, drifts: 0 };
}

export function sumOf(state: ClassState, field: string): number {
  return state.sums.get(field) ?? 0;
}

/** How many jobs count, after the past has faded. */
export function weightOfClass(state: ClassState): number {
  return Math.max(0, sumOf(state, "w"));
}

/**
 * How many measured jobs a state rests on. A job may weigh more than one (a calibration) and is still one that was seen: a
 * few heavy ones must not pass for many.
 */
export function samplesOf(state: ClassState): number {
  const weight = weightOfClass(state);
  return state.recent.length < MAX_RECENT ? Math.min(weight, state.recent.length) : weight;
}

export function formatRecent(jobs: readonly RecentJob[]): string {
  return jobs.map(formatJob).join(";");
}

function formatJob({ inputBytes, peakBytes, durationMs, coverage, gpuBytes }: RecentJob): string {
  const gpu = gpuBytes === undefined ? [] : [Math.round(gpuBytes)];
  return [...[inputBytes, peakBytes, durationMs].map(Math.round), letters[coverage], ...gpu].join();
}

/** The oldest form that can hold this. */
export function versionOf({ sums, recent }: Pick<Additions, "sums" | "recent">): number {
  const isOfGpu = recent.some(({ gpuBytes }) => gpuBytes !== undefined) || [...sums.keys()].some(isGpuField);
  return isOfGpu ? LEARNED_VERSION : FIRST_VERSION;
}

function isGpuField(field: string): boolean {
  return field.startsWith("gpu");
}

/** The hash as a state, or what is wrong with it. Checks every field: a hash is anybody's who has the password. */
export function parseState(hash: Readonly<Record<string, string>>): ParsedState {
  if (Object.keys(hash).length === 0) return { kind: "none" };
  const { v = "", name = "", recent = "" } = hash;
  const version = /^\d{1,9}$/.test(v) ? Number(v) : 0;
  if (version > LEARNED_VERSION) return { kind: "newer", version };
  if (version < FIRST_VERSION) return { kind: "corrupt", field: "v", value: v };
  const className = parseName(name);
  if (className === undefined) return { kind: "corrupt", field: "name", value: name };
  const jobs = parseRecent(recent);
  if (jobs === undefined) return { kind: "corrupt", field: "recent", value: recent };
  const bad = Object.entries(hash).find((entry) => !isSum(entry));
  if (bad !== undefined) return { kind: "corrupt", field: bad[0], value: bad[1] };
  const sums = new Map(
    Object.entries(hash).flatMap(([field, value]) => (texts.has(field) ? [] : [[field, Number(value)] as const])),
  );
  return {
    kind: "state",
    state: { name: className, sums, recent: jobs, jobs: take(sums, "n"), drifts: take(sums, "drifts") },
  };
}

const texts: ReadonlySet<string> = new Set(["v", "name", "recent"]);

function isSum([field, value]: readonly [string, string]): boolean {
  if (texts.has(field)) return true;
  const number = Number(value);
  if (value.trim() === "" || !Number.isFinite(number) || !isField(field)) return false;
  return field !== "n" || number >= 0;
}

function take(sums: Map<string, number>, field: string): number {
  const value = sums.get(field) ?? 0;
  sums.delete(field);
  return value;
}

function parseName(text: string): ClassName | undefined {
  try {
    return classNameSchema.parse(JSON.parse(text));
  } catch {
    return undefined; // Told as a corrupt field.
  }
}

function parseRecent(text: string): RecentJob[] | undefined {
  const jobs: RecentJob[] = [];
  for (const entry of text.split(";").filter((part) => part !== "")) {
    const match = /^(\d{1,16}),(\d{1,16}),(\d{1,16}),([01-])(?:,(\d{1,16}))?$/.exec(entry);
    if (match === null) return undefined;
    const coverage = match[4] === letters.within ? "within" : match[4] === letters.beyond ? "beyond" : "open";
    const [, inputBytes, peakBytes, durationMs] = match.map(Number);
    const gpu = match[5] === undefined ? {} : { gpuBytes: Number(match[5]) };
    jobs.push({
      inputBytes: inputBytes ?? 0,
      peakBytes: peakBytes ?? 0,
      durationMs: durationMs ?? 0,
      coverage,
      ...gpu,
    });
  }
  return jobs.slice(-MAX_RECENT);
}

const plainFields = new Set(["w", "n", "drifts", "driftedAt", "traces"]);
const sumFields = new Set(
  targets.flatMap((target) => fits.flatMap((fit) => sumNames.map((sum) => `${target}/${fit}.${sum}`))),
);
const shareScale: Pick<Scale, "lowest" | "highest"> = { lowest: 0, highest: SHARE_BUCKETS };
const histogramScales: ReadonlyMap<string, Pick<Scale, "lowest" | "highest">> = new Map([
  ...Object.entries(scales),
  ...targets.flatMap((target) => fits.map((fit) => [`${target}/${fit}`, ratioScale] as const)),
  ...Array.from({ length: SHAPE_BINS }, (_, bin) => [`shape${bin}`, shareScale] as const),
]);

function isField(field: string): boolean {
  if (plainFields.has(field) || sumFields.has(field)) return true;
  const [name = "", bucket = ""] = field.split(":");
  const scale = histogramScales.get(name);
  if (scale === undefined || !/^-?\d{1,3}$/.test(bucket)) return false;
  return Number(bucket) >= scale.lowest && Number(bucket) <= scale.highest;
}

/** All histograms of a state, by name. */
export function histogramsOf(state: ClassState): ReadonlyMap<string, Histogram> {
  const found = new Map<string, Map<number, number>>();
  for (const [field, weight] of state.sums) {
    const colon = field.indexOf(":");
    if (colon < 0 || weight <= 0) continue;
    const name = field.slice(0, colon);
    const histogram = found.get(name) ?? new Map<number, number>();
    histogram.set(Number(field.slice(colon + 1)), weight);
    found.set(name, histogram);
  }
  return found;
}

/** What is added to a state at once. */
export interface Additions {
  readonly sums: ReadonlyMap<string, number>;
  readonly recent: readonly RecentJob[];
  readonly jobs: number;
}

/** Adds to the state in place. */
export function addToState(state: ClassState, { sums, recent, jobs }: Additions): void {
  for (const [field, amount] of sums) state.sums.set(field, sumOf(state, field) + amount);
  state.recent = [...state.recent, ...recent].slice(-MAX_RECENT);
  state.jobs += jobs;
}

/** What is left of the past when a class is no longer what it was. */
export const DRIFT_WEIGHT = 4;

/** Lets the past fade in place, until it weighs no more than `weight`. How well jobs were predicted by it is forgotten. */
export function fadeState(state: ClassState, weight: number): void {
  const factor = Math.min(1, weight / Math.max(weight, weightOfClass(state)));
  for (const [field, value] of state.sums) {
    if (field.includes("/") && field.includes(":")) state.sums.delete(field);
    else if (field !== "driftedAt") state.sums.set(field, value * factor);
  }
  state.recent = state.recent.map((job) => ({ ...job, coverage: "open" }));
  state.drifts += 1;
}
