/** What a calibration proposes: a profile, and how many processes this machine takes at once. Pure. */
import type { Expectation } from "../../contract/expectation.ts";
import type { FileResult } from "../../contract/files.ts";
import { MiB } from "../../contract/resources.ts";

/** One file that was measured alone. */
export interface CalibratedFile {
  readonly path: string;
  readonly inputBytes: number;
  readonly peakBytes: number;
  readonly durationMs: number;
  readonly cpuMs: number;
}

export interface Proposal {
  readonly memoryBytes: number;
  readonly cpuCores: number;
  readonly concurrency: number;
  /** What holds the number of processes at once. */
  readonly limitedBy: "memory" | "cpu";
}

export interface Machine {
  readonly memoryBytes: number;
  readonly cpuCores: number;
}

/** Memory is proposed in such steps: nobody reads a size to the byte. */
const STEP_BYTES = 16 * MiB;
const LEAST_CORES = 0.1;

export function calibratedFiles(results: readonly FileResult[]): CalibratedFile[] {
  return results
    .flatMap(({ path, outcome, inputBytes, peakBytes, durationMs, cpuMs }) =>
      outcome === "succeeded" && inputBytes !== null && peakBytes !== null && durationMs !== null
        ? [{ path, inputBytes, peakBytes, durationMs, cpuMs: cpuMs ?? 0 }]
        : [],
    )
    .toSorted((a, b) => a.inputBytes - b.inputBytes);
}

/** `expected`: for the largest input, since a profile is for all files. Needs one measured file at least. */
export function proposeProfile(files: readonly CalibratedFile[], expected: Expectation, machine: Machine): Proposal {
  // Never below what was seen, whatever a model that has not heard of the last file yet would say.
  const needBytes = Math.max(expected.memoryBytes.p95, ...files.map(({ peakBytes }) => peakBytes));
  const memoryBytes = Math.ceil(needBytes / STEP_BYTES) * STEP_BYTES;
  const cores = Math.max(...files.map(({ cpuMs, durationMs }) => cpuMs / Math.max(1, durationMs)));
  const cpuCores = Math.max(LEAST_CORES, Math.round(cores * 10) / 10);
  const byMemory = Math.floor(machine.memoryBytes / memoryBytes);
  const byCpu = Math.floor(machine.cpuCores / cpuCores);
  const concurrency = Math.max(1, Math.min(byMemory, byCpu));
  return { memoryBytes, cpuCores, concurrency, limitedBy: byMemory < byCpu ? "memory" : "cpu" };
}
