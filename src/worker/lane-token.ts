/** The token that a claimed job is locked with: it names the worker's process and the time of the claim. */

/** A process of a worker: another one may come after it under the same name. */
export interface WorkerProcess {
  readonly workerId: string;
  /** By the worker's clock, as its heartbeat says it. */
  readonly startedAtMs: number;
}

/** A token of its own for each claim of a worker. */
export function lockToken({ workerId, startedAtMs }: WorkerProcess, claimedAtMs: number, claim: number): string {
  return `${workerId}:${startedAtMs.toString(36)}:${claimedAtMs.toString(36)}:${claim}`;
}

/** Who claimed with this token; a worker without a name for a text that is no token. */
export function parseToken(token: string): WorkerProcess {
  const [, workerId = "", startedAt = "0"] = /^(.*):([0-9a-z]+):[0-9a-z]+:\d+$/.exec(token) ?? [];
  return { workerId, startedAtMs: Number.parseInt(startedAt, 36) };
}
