/** The seam of the sensors: what a probe reads, and how it says that it has nothing to read here. */

/** Where the kernel's files are; a test points them at a tree of its own. */
export interface ProbeRoots {
  readonly proc: string;
  readonly cgroup: string;
}

export const systemRoots: ProbeRoots = { proc: "/proc", cgroup: "/sys/fs/cgroup" };

/** One reader of one kind of figure. A probe never forks and never waits: it reads files that the kernel makes up. */
export interface Probe<Reading> {
  readonly name: string;
  /** Finds its files. False: there is nothing of the kind on this machine. May be called again after a failure. */
  open(): boolean;
  /** Reads once. @throws when the files cannot be read or do not say what they should */
  read(): Reading;
  close(): void;
}

/** Memory that is accounted for together: a cgroup with a limit, or the host. */
export interface MemoryLevel {
  readonly name: string;
  readonly limitBytes: number;
  /** The working set: what could not be given back without swapping. Page cache that can be dropped is not in it. */
  readonly usedBytes: number;
}

/** CPUs that are accounted for together: a cgroup with a quota, or the CPUs of the host that this process may use. */
export interface CpuSource {
  readonly name: string;
  readonly cores: number;
  /** Core-seconds of work since some fixed moment. */
  readonly busySeconds: number;
}

/** Time that tasks were stalled, since some fixed moment (pressure stall information). */
export interface PressureTotals {
  /** Whose stalls: this cgroup's, or those of the whole host. */
  readonly scope: "cgroup" | "host";
  readonly memorySomeSeconds: number;
  readonly memoryFullSeconds: number;
  readonly cpuSomeSeconds: number;
}
