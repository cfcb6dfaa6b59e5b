/** Jobs that follow a law, with noise from a seed: the same ones in each test run. */
import type { Measure } from "../../src/platform/learned/note.ts";
import { MiB } from "../../src/contract/resources.ts";

/** Uniform numbers from 0 to 1, and normal ones, from a seed (mulberry32). */
export interface Random {
  uniform(): number;
  normal(): number;
}

export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  const normal = () => Math.sqrt(-2 * Math.log(uniform() + 1e-12)) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal };
}

/** `peak = (base + perInput × size) × noise`, in MiB; the duration likewise, in seconds. */
export interface Law {
  readonly base: number;
  readonly perInput: number;
  readonly sizes: readonly [least: number, most: number];
  readonly noise: number;
  readonly seconds: readonly [least: number, most: number];
}

/** Kinds of jobs as they come in real queues: flat ones, steep ones, regular and irregular ones. */
export const laws: Readonly<Record<string, Law>> = {
  thumb: { base: 40, perInput: 0.3, sizes: [20, 120], noise: 0.1, seconds: [3, 8] },
  parse: { base: 60, perInput: 1, sizes: [50, 500], noise: 0.1, seconds: [6, 20] },
  etl: { base: 150, perInput: 1.5, sizes: [100, 500], noise: 0.15, seconds: [10, 30] },
  ocr: { base: 300, perInput: 0.5, sizes: [50, 400], noise: 0.1, seconds: [10, 25] },
  video: { base: 500, perInput: 0.6, sizes: [200, 1_000], noise: 0.12, seconds: [25, 60] },
  train: { base: 1_200, perInput: 0.8, sizes: [100, 900], noise: 0.05, seconds: [30, 60] },
  io: { base: 80, perInput: 0.1, sizes: [10, 100], noise: 0.1, seconds: [15, 40] },
};

export function randomJob(law: Law, random: Random, factor = 1): Measure {
  const [least, most] = law.sizes;
  const share = random.uniform();
  const size = least + share * (most - least);
  const peak = Math.max(30, (law.base + law.perInput * size) * Math.max(0.5, 1 + law.noise * random.normal()));
  const [shortest, longest] = law.seconds;
  const seconds = shortest + (longest - shortest) * (0.7 * share + 0.3 * random.uniform());
  return {
    kind: "ended",
    inputBytes: Math.round(size * MiB),
    peakBytes: Math.round(peak * factor * MiB),
    durationMs: seconds * 1_000,
    cpuMs: seconds * 900,
    ioBytes: Math.round(size * MiB),
    gpuBytes: null,
    shape: null,
    weight: 1,
    jobs: 1,
  };
}
