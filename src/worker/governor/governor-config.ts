/** What a person sets about the resources of a worker, as the governor takes it. Ratios, not per cent. */
import { InvalidInputError, type Fault } from "../../contract/errors.ts";
import type { MachineLimits } from "./machine-gates.ts";
import type { MemoryLevel } from "./probes/probe.ts";

export interface GovernorConfig {
  /** Most job processes at once. Default: as many as there are cores. */
  readonly maxProcesses?: number;
  /** Share of the memory up to which jobs are admitted. Default 0.96, and 0.9 of the host's. */
  readonly memoryThreshold?: number;
  /** Share of the CPUs in use at which admission stops. Default, and with 1: none, promised cores alone decide. */
  readonly cpuThreshold?: number;
  /** Memory that all jobs of this worker may take together, in bytes. Default: no limit but those of the machine. */
  readonly memoryMaxBytes?: number;
  /** Memory of the host that is left to others, in bytes. Default: a tenth of it, and 0 where a threshold is set. */
  readonly systemReserveBytes?: number;
  /** What this worker has that not every worker has, such as `gpu`. */
  readonly labels: readonly string[];
  /** About disks, heat and power. */
  readonly machine?: MachineLimits;
}

/**
 * Peaks are forecast up to here where nobody has set less. It is beyond the line at which jobs are ended, for the peaks of
 * a forecast hardly ever come all together; what is left of the limit is for what no forecast sees.
 */
export const DEFAULT_MEMORY_THRESHOLD = 0.96;

/** What nobody governs runs on a host too, and grows: a control group has a limit of its own for that. */
const HOST_RESERVE = 0.1;

/** Memory of the host that is left to others, in bytes. */
export function systemReserveOf(
  { systemReserveBytes, memoryThreshold }: Pick<GovernorConfig, "memoryThreshold" | "systemReserveBytes">,
  memory: readonly MemoryLevel[],
): number {
  if (systemReserveBytes !== undefined) return systemReserveBytes;
  const host = memory.find(({ name }) => name === "host");
  return memoryThreshold === undefined && host !== undefined ? HOST_RESERVE * host.limitBytes : 0;
}

/** Checks the ranges; leaves out what says nothing. @throws {InvalidInputError} that names every setting out of its range */
export function checkGovernorConfig(config: GovernorConfig): GovernorConfig {
  const faults: Fault[] = [];
  const check = (where: keyof GovernorConfig, expected: string, isRight: (value: number) => boolean) => {
    const value = config[where];
    if (typeof value === "number" && !isRight(value)) faults.push({ where, expected, found: String(value) });
  };
  const isShare = (value: number) => value > 0 && value <= 1;
  check("maxProcesses", "a whole number from 1", (value) => Number.isSafeInteger(value) && value >= 1);
  check("memoryThreshold", "a ratio above 0, 1 at most", isShare);
  check("cpuThreshold", "a ratio above 0, 1 at most", isShare);
  check("memoryMaxBytes", "a number of bytes above 0", (value) => Number.isFinite(value) && value > 0);
  check("systemReserveBytes", "a number of bytes from 0", (value) => Number.isFinite(value) && value >= 0);
  if (faults.length > 0) throw new InvalidInputError("the governor's configuration", faults);
  // All CPUs may be in use: that is no threshold, and need not be measured.
  const { cpuThreshold: _all, ...withoutCpu } = config;
  return config.cpuThreshold === 1 ? withoutCpu : config;
}
