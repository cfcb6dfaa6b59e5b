/** The seam of the sensors: what a probe reads, how often, for how long that holds, and how it says that it has nothing. */

/** Where the kernel's files are; a test points them at a tree of its own. */
export interface ProbeRoots {
  readonly proc: string;
  readonly cgroup: string;
  readonly sys: string;
}

export const systemRoots: ProbeRoots = { proc: "/proc", cgroup: "/sys/fs/cgroup", sys: "/sys" };

interface ProbeFacts {
  readonly name: string;
  /** Between two readings; 0 reads each time that the sensor is asked. */
  readonly periodMs: number;
  /** A reading older than this counts as unknown. */
  readonly staleMs: number;
  /** What is amiss though there is a reading, such as one device of several that does not answer. */
  readonly caveat?: string | undefined;
}

/** Reads files that the kernel makes up in microseconds: it never forks, never waits, and is read within the tick. */
export interface InlineProbe<Reading> extends ProbeFacts {
  readonly mode: "inline";
  /** Finds its files. False: there is nothing of the kind on this machine. Called again now and then. */
  open(): boolean;
  /** Reads once. @throws when the files cannot be read or do not say what they should */
  read(): Reading;
  close(): void;
}

/** Reads what may be slow or may never answer (a file system of the network, a sensor chip, a plugin): off the tick. */
export interface BackgroundProbe<Reading> extends ProbeFacts {
  readonly mode: "background";
  /** Without an answer for this long the probe counts as degraded, and `signal` is aborted. */
  readonly limitMs: number;
  open(): boolean | Promise<boolean>;
  /** @throws and rejects like `InlineProbe.read` */
  read(signal: AbortSignal): Promise<Reading>;
  close(): void;
}

export type Probe<Reading> = InlineProbe<Reading> | BackgroundProbe<Reading>;

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
  /** Undefined where the kernel does not tell it. */
  readonly ioSomeSeconds?: number | undefined;
  readonly ioFullSeconds?: number | undefined;
}

/** Things that are counted against a limit: processes of a cgroup, descriptors of this process. */
export interface CountLevel {
  readonly name: string;
  readonly limit: number;
  readonly used: number;
}
