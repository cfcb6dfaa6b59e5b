/** What a job is expected to take: declared, or learned, or the default, and never below what was observed. Pure. */
import type { Expectation, Spread } from "../../contract/expectation.ts";
import { memoryOf, type Profile } from "../../contract/profiles.ts";
import { MiB } from "../../contract/resources.ts";
import { ENOUGH, type ClassModel } from "./class-model.ts";

export interface ExpectationFacts {
  readonly profile: Profile;
  /** What was learned of the class. */
  readonly learned: ClassModel | undefined;
  /** Of one process: the sum of its inputs. */
  readonly inputBytes: number;
  /** The most that was seen of this very job before it was ended for memory. */
  readonly endedAtPeakBytes?: number;
}

/** A process that was ended for memory gets this much more than it had, since it was not yet done growing. */
const FLOOR_FACTOR = 1.35;
const LEAST_BYTES = 8 * MiB;
const unknown = {
  samples: 0,
  durationMs: undefined,
  cpuCores: undefined,
  ioBytesPerSecond: undefined,
  gpuMemoryBytes: undefined,
  shape: undefined,
} as const;

/** The expectation of one process. */
export function expectationOf({ profile, learned, inputBytes, endedAtPeakBytes = 0 }: ExpectationFacts): Expectation {
  const known = learned?.predict(inputBytes);
  const floor = Math.max(LEAST_BYTES, floorBytes(endedAtPeakBytes));
  const own = ownExpectation(profile, known, learned?.largestPeakBytes ?? 0);
  // Of a process that runs, the card may be known before its memory is.
  const gpuMemoryBytes = gpuMemoryOf(profile, own.gpuMemoryBytes ?? learned?.gpuMemory(inputBytes), learned);
  return { ...own, memoryBytes: atLeast(own.memoryBytes, floor), gpuMemoryBytes };
}

/** In the same order of trust: what was declared, unless jobs were seen to take more; or what was learned. */
function gpuMemoryOf(
  { gpuMemoryBytes: declared }: Profile,
  known: Expectation["gpuMemoryBytes"],
  learned: ClassModel | undefined,
): Expectation["gpuMemoryBytes"] {
  if (declared === undefined || learned === undefined || known === undefined) {
    return declared === undefined ? known : { basis: "declared", p50: declared, p95: declared };
  }
  const seen = { samples: learned.gpuSamples, memoryBytes: known };
  return { basis: "declared", ...declaredSpread(declared, seen, learned.largestGpuBytes) };
}

/** The least that a job gets after it was ended for memory with this peak. */
export function floorBytes(peakBytes: number): number {
  return Math.ceil(FLOOR_FACTOR * peakBytes);
}

function ownExpectation(profile: Profile, known: Expectation | undefined, seenBytes: number): Expectation {
  const declared = profile.memoryBytes;
  if (declared !== undefined) {
    if (known === undefined) return { ...unknown, basis: "declared", memoryBytes: { p50: declared, p95: declared } };
    return { ...known, basis: "declared", memoryBytes: declaredSpread(declared, known, seenBytes) };
  }
  const bytes = memoryOf(profile);
  return known ?? { ...unknown, basis: "default", memoryBytes: { p50: bytes, p95: bytes } };
}

/** What was declared is an upper bound until jobs are seen to pass it; what most of them take is learned all the same. */
function declaredSpread(
  declared: number,
  { samples, memoryBytes }: Pick<Expectation, "samples" | "memoryBytes">,
  seenBytes: number,
): Spread {
  const p95 = seenBytes > declared ? Math.max(declared, memoryBytes.p95) : declared;
  // A few jobs that stayed below do not yet say where the middle lies.
  const p50 = samples < ENOUGH ? p95 : Math.min(p95, memoryBytes.p50);
  return { p50, p95 };
}

function atLeast({ p50, p95 }: Spread, floor: number): Spread {
  return { p50: Math.max(p50, floor), p95: Math.max(p95, floor) };
}
