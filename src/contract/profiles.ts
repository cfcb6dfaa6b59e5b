/** A named resource class, and the size buckets that make any job of a queue fit one reservation. */
import { z } from "zod";
import { MiB } from "./resources.ts";

export const profileName = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9_-]{0,38}[a-z0-9])?$/, "lower-case letters, digits, - and _, 40 at most");

/** What one process of this profile asks for, and which labels a worker must carry to serve it. */
export const profileSchema = z.strictObject({
  /** Absent when nobody said: then what was learned counts, and the default before anything was. */
  memoryBytes: z.int().positive().optional(),
  /** Memory of the card that a job of a profile with the label `gpu` gets; absent when nobody said. */
  gpuMemoryBytes: z.int().positive().optional(),
  cpuCores: z.number().positive().default(1),
  labels: z.array(z.string().min(1)).default([]),
});
export type Profile = Readonly<z.output<typeof profileSchema>>;

export const defaultProfile: Profile = profileSchema.parse({});

/** What a process gets of which nothing is known. */
export const DEFAULT_MEMORY_BYTES = 128 * MiB;

/** What was declared, or the default. */
export function memoryOf(profile: Profile): number {
  return profile.memoryBytes ?? DEFAULT_MEMORY_BYTES;
}

/** Control jobs (scan, report) run inside the worker and ask for little; their reservation is fixed. */
export const CONTROL_PROFILE = "control";
export const CONTROL_MEMORY_BYTES = 32 * MiB;
export const controlProfile: Profile = profileSchema.parse({ memoryBytes: CONTROL_MEMORY_BYTES, cpuCores: 0.05 });

/** The size bucket of a memory need: two buckets per doubling, so a reservation is at most 41 % too large. */
export function bucketOf(memoryBytes: number): number {
  return Math.max(0, Math.ceil(2 * Math.log2(Math.max(1, memoryBytes / MiB))));
}

/** The largest size bucket whose reservation is no larger than this; below 0 when none is. */
export function bucketWithin(memoryBytes: number): number {
  const at = bucketOf(memoryBytes);
  return bucketBytes(at) <= memoryBytes ? at : at - 1;
}

/** The largest memory need in bytes that falls into this bucket: what a reservation for it takes. */
export function bucketBytes(bucket: number): number {
  return Math.floor(2 ** (bucket / 2) * MiB);
}
