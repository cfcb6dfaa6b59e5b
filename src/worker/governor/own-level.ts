/** The limit that a person sets on the memory of all jobs of a worker, as one more level beside those of its machine. */
import type { CapacityReading } from "./capacity.ts";
import type { Reservation } from "./reservations.ts";

export const OWN_LEVEL = "worker.memory_max";

/** A reading with the limit of this worker among those of its machine: its jobs alone count in it. */
export function withOwnLevel(
  reading: CapacityReading,
  limitBytes: number | undefined,
  jobs: readonly Reservation[],
): CapacityReading {
  if (limitBytes === undefined) return reading;
  const usedBytes = jobs.reduce((sum, job) => sum + (job.usage?.rssBytes ?? 0), 0);
  return {
    ...reading,
    memoryBytes: Math.min(reading.memoryBytes, limitBytes),
    memory: [...reading.memory, { name: OWN_LEVEL, limitBytes, usedBytes }],
  };
}

/** Names of the levels that a worker shares with others of its machine. */
export function sharedLevels(memory: CapacityReading["memory"]): string[] {
  return memory.flatMap(({ name }) => (name === OWN_LEVEL ? [] : [name]));
}
