/** Amounts of what a machine has, and the arithmetic on them. */

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;

/** What a job asks for or a worker has. Bytes, fractional cores, and counts of job processes. */
export interface Amounts {
  readonly memoryBytes: number;
  readonly cpuCores: number;
  readonly processes: number;
}

export const resourceNames = ["memoryBytes", "cpuCores", "processes"] as const;
export type ResourceName = (typeof resourceNames)[number];

export const nothing: Amounts = { memoryBytes: 0, cpuCores: 0, processes: 0 };

export function add(a: Amounts, b: Amounts): Amounts {
  return {
    memoryBytes: a.memoryBytes + b.memoryBytes,
    cpuCores: a.cpuCores + b.cpuCores,
    processes: a.processes + b.processes,
  };
}
