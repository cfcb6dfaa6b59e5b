/** What the workers are told of a queue. */
import { z } from "zod";
import { effectiveProfile, type ProfileChange } from "../contract/profile-changes.ts";

/** What a worker must know of a queue beside its name: any job of it fits this. */
export const queueSpec = z.object({
  cpuCores: z.number(),
  labels: z.array(z.string()),
  /** Whose jobs they are; absent for queues of an earlier version. */
  profile: z.string().optional(),
  /** What all of them declare to need of a card; absent where nobody said, and for queues of an earlier version. */
  gpuMemoryBytes: z.number().optional(),
});
export type QueueSpec = Readonly<z.output<typeof queueSpec>>;

/** What counts for the jobs of a queue now, their profile changed by so much. */
export function effectiveSpec(declared: QueueSpec, change: ProfileChange | undefined): QueueSpec {
  const { cpuCores, labels, gpuMemoryBytes } = effectiveProfile(declared, change);
  return { ...declared, cpuCores, labels: [...labels], ...(gpuMemoryBytes !== undefined && { gpuMemoryBytes }) };
}
