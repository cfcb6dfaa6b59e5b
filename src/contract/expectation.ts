/** What a job is expected to take: quantiles over the jobs of its class, for an input of its size. */

/** Where an expectation comes from, in the order of trust. */
export type ExpectationBasis = "declared" | "learned" | "default";

export interface Spread {
  /** Half of the jobs stay below. */
  readonly p50: number;
  /** All but one in twenty stay below. */
  readonly p95: number;
}

export interface Expectation {
  readonly basis: ExpectationBasis;
  /** How many measured jobs this rests on; 0 when nothing was measured. */
  readonly samples: number;
  /** Peak resident memory of one process, in bytes. Never below what was observed of this very job. */
  readonly memoryBytes: Spread;
  /** Duration of one process, in ms; undefined while nothing is known. */
  readonly durationMs: (Spread & { readonly p05: number }) | undefined;
  /** CPU time over duration; undefined while nothing is known. */
  readonly cpuCores: Spread | undefined;
  /** Bytes read and written per second; undefined while nothing is known. */
  readonly ioBytesPerSecond: Spread | undefined;
  /** Memory of one GPU, in bytes, with a basis of its own; undefined where none was declared or measured. */
  readonly gpuMemoryBytes: (Spread & { readonly basis: ExpectationBasis }) | undefined;
  /**
   * Memory over the life of a process: for each tenth of its duration the share of its peak that all but one in twenty
   * stay below, such as [0.1, 0.1, … 1]. Undefined while unknown: the peak counts all the time.
   */
  readonly shape: readonly number[] | undefined;
  /** For each tenth the share that half of them stay below; undefined with `shape`. */
  readonly usual?: readonly number[] | undefined;
  /** For each tenth the share of its peak that all but one in twenty have come to by its end; undefined with `shape`. */
  readonly shown?: readonly number[] | undefined;
}
