/** What a job needs: declared, or learned once enough is known, and never below what an earlier memory kill showed. */
import { bucketOf, type Profile } from "../../contract/profiles.ts";
import { MiB } from "../../contract/resources.ts";

/** What was learned of a profile and a binary. */
export interface LearnedDemand {
  /** Mean time of one file. */
  readonly durationMsPerFile: number;
  /** What all but one in twenty stayed below. */
  readonly peakBytes: number;
  readonly maxPeakBytes: number;
  /** How many measured files this rests on. */
  readonly n: number;
}

/** With fewer files than this, what was declared still counts. */
const ENOUGH = 8;
/** A process that was ended for memory gets this much more than it had, since it was not yet done growing. */
const FLOOR_FACTOR = 1.35;
const LEAST_BYTES = 8 * MiB;

export interface DemandFacts {
  readonly profile: Profile;
  readonly learned: LearnedDemand | undefined;
  /** The most that was seen of this very job before it was ended for memory. */
  readonly endedAtPeakBytes?: number;
}

/** Memory that one process of the job needs, in bytes. */
export function decideMemoryNeed({ profile, learned, endedAtPeakBytes }: DemandFacts): number {
  return Math.max(LEAST_BYTES, expectedBytes(profile, learned), floorBytes(endedAtPeakBytes ?? 0));
}

/** The least that a job gets after it was ended for memory with this peak. */
export function floorBytes(peakBytes: number): number {
  return Math.ceil(FLOOR_FACTOR * peakBytes);
}

/** The size bucket of a job, which is part of the name of its queue. */
export function decideBucket(facts: DemandFacts): number {
  return bucketOf(decideMemoryNeed(facts));
}

function expectedBytes(profile: Profile, learned: LearnedDemand | undefined): number {
  if (learned === undefined || learned.n < 1) return profile.memoryBytes;
  // The fewer were seen, the likelier that the next one is larger than all of them.
  const doubt = 1 + 0.5 / Math.sqrt(learned.n);
  if (learned.n < ENOUGH) return Math.max(profile.memoryBytes, Math.ceil(learned.maxPeakBytes * doubt));
  return Math.ceil(Math.max(learned.peakBytes * doubt, LEAST_BYTES));
}
