/** Every error class of Headroom. Callers branch on `code` or class, never on the message. */

/** Exit codes of the command line. */
export const exitCodes = { ok: 0, someFailed: 1, usage: 2, infrastructure: 3, interrupted: 130 } as const;

/** Base of every error that Headroom throws on purpose. */
export abstract class HeadroomError extends Error {
  abstract readonly code: `ERR_${string}`;
  /** Whether trying the same thing again may succeed. */
  readonly retryable: boolean = false;
  /** What the command line exits with when this error reaches it. */
  readonly exitCode: number = exitCodes.usage;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** One fault of a configuration file, an option or a payload. */
export interface Fault {
  /** Where: a path in the file (`resources.max_processes`), an option (`--timeout`) or a variable. */
  readonly where: string;
  readonly expected: string;
  readonly found: string;
}

/** Something that was asked for has faults; all of them are reported together. */
export abstract class FaultsError extends HeadroomError {
  readonly faults: readonly Fault[];

  constructor(headline: string, faults: readonly Fault[], options?: ErrorOptions) {
    const lines = faults.map((fault) => `  ${fault.where}: expected ${fault.expected}, found ${fault.found}`);
    super(`${headline}\n${lines.join("\n")}`, options);
    this.faults = faults;
  }
}

/** One setting of a person may stand for several of ours: its fault is told once. */
function distinct(faults: readonly Fault[]): readonly Fault[] {
  return [
    ...new Map(faults.map((fault) => [JSON.stringify([fault.where, fault.expected, fault.found]), fault])).values(),
  ];
}

/** The input of a person or a program is not what it must be. */
export class InvalidInputError extends FaultsError {
  readonly code = "ERR_INVALID_INPUT";

  constructor(what: string, faults: readonly Fault[], options?: ErrorOptions) {
    const told = distinct(faults);
    super(`${what} has ${told.length} ${told.length === 1 ? "fault" : "faults"}`, told, options);
  }
}

/** The operator of this process does not allow what a run asks for. */
export class PolicyError extends FaultsError {
  readonly code = "ERR_POLICY";

  constructor(faults: readonly Fault[]) {
    super(
      `the run asks for ${faults.length === 1 ? "what is" : `${faults.length} things that are`} not allowed here`,
      faults,
    );
  }
}

/** What a planner wrote is no plan, is not allowed, or would cost more than it may; nothing of it runs. */
export class PlanRefusedError extends FaultsError {
  readonly code = "ERR_PLAN_REFUSED";
  override readonly exitCode = exitCodes.someFailed;

  constructor(faults: readonly Fault[]) {
    super("there is no plan that may run", distinct(faults));
  }
}

/** A planner does not answer; the goal may be asked again later. */
export class PlannerUnavailableError extends FaultsError {
  readonly code = "ERR_PLANNER_UNAVAILABLE";
  override readonly retryable = true;
  override readonly exitCode = exitCodes.infrastructure;

  constructor(faults: readonly Fault[]) {
    super("the planner does not answer", faults);
  }
}

/** Redis, the store or the disk does not answer as it must. */
export class InfrastructureError extends HeadroomError {
  readonly code = "ERR_INFRASTRUCTURE";
  override readonly retryable = true;
  override readonly exitCode = exitCodes.infrastructure;
}

/** The Redis server is reachable, but set up in a way that would lose jobs. `fix` is the command that mends it. */
export class UnsafeRedisError extends HeadroomError {
  readonly code = "ERR_REDIS_UNSAFE";
  override readonly exitCode = exitCodes.infrastructure;
  readonly fix: string;

  constructor(expected: string, found: string, fix: string) {
    super(`redis must have ${expected}, found ${found}; to mend it: ${fix}`);
    this.fix = fix;
  }
}

/** A newer version has written a specification with fields that this one does not know, and may not pass over. */
export class NewerSpecError extends HeadroomError {
  readonly code = "ERR_NEWER_SPEC";
  /** Paths of the fields. */
  readonly fields: readonly string[];

  constructor(fields: readonly string[]) {
    super(`expected a run that this version understands, found fields of a newer one: ${fields.join(", ")}`);
    this.fields = fields;
  }
}

/** No run, job or file of this name is known. */
export class NotFoundError extends HeadroomError {
  readonly code = "ERR_NOT_FOUND";

  constructor(
    kind:
      | "run"
      | "report"
      | "job"
      | "file"
      | "schedule"
      | "profile"
      | "rule"
      | "route"
      | "limit"
      | "worker or host"
      | "queue or profile"
      | "run, job, worker or profile"
      | "node"
      | "flow"
      | "plan",
    id: string,
  ) {
    super(`expected a known ${kind}, found no ${kind} "${id}"`);
  }
}

/** Another run holds what this one asks for. */
export class ConflictError extends HeadroomError {
  readonly code = "ERR_CONFLICT";
}

/** An idempotency key that stands for another request. */
export class IdempotencyKeyReusedError extends HeadroomError {
  readonly code = "ERR_IDEMPOTENCY_KEY_REUSED";

  constructor() {
    super("expected the request that was first sent under this idempotency key, found another");
  }
}

/** The cluster has no room for new work now; ask again after `retryAfterSeconds`. */
export class BacklogFullError extends HeadroomError {
  readonly code = "ERR_BACKLOG_FULL";
  override readonly retryable = true;
  override readonly exitCode = exitCodes.infrastructure;
  readonly retryAfterSeconds: number;

  constructor(reason: string, retryAfterSeconds: number) {
    super(`intake refuses new runs: ${reason}; try again in ${retryAfterSeconds} s`);
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** The job asks for more than any worker of its kind owns, so waiting would never help. */
export class CapacityExceededError extends HeadroomError {
  readonly code = "ERR_CAPACITY_EXCEEDED";
  readonly needed: number;

  constructor(resource: string, needed: number, owned: number) {
    super(`job needs ${needed} of ${resource}, worker has ${owned} in total`);
    this.needed = needed;
  }
}

/** The lease of a job was lost: another worker may hold it by now. */
export class LeaseLostError extends HeadroomError {
  readonly code = "ERR_LEASE_LOST";
  override readonly retryable = true;
}

/** This scheduler leads no more: another one may by now. */
export class LeadershipLostError extends HeadroomError {
  readonly code = "ERR_LEADERSHIP_LOST";
  override readonly retryable = true;
}

/** A state machine was asked for an arrow that is not drawn. */
export class IllegalStateError extends HeadroomError {
  readonly code = "ERR_ILLEGAL_STATE";

  constructor(what: string, from: string, to: string) {
    super(`${what} cannot move from ${from} to ${to}`);
  }
}

/** A path leads out of the folder that the operator named. */
export class PathEscapeError extends HeadroomError {
  readonly code = "ERR_PATH_ESCAPE";

  constructor(root: string, path: string) {
    super(`expected a path inside ${root}, found ${path}`);
  }
}

/** The message of anything that was thrown, on one line: for records that are shown in rows. */
export function lineOf(error: unknown): string {
  return error instanceof FaultsError ? faultsLine(error.faults) : messageOf(error);
}

/** Faults on one line. */
export function faultsLine(faults: readonly Fault[]): string {
  return faults.map(({ where, expected, found }) => `${where}: expected ${expected}, found ${found}`).join("; ");
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Whether the error says nothing about the work itself, so that the same thing later may succeed: one of ours that is
 * `retryable`, or an answer of Redis that it cannot serve now (out of memory, loading, read-only).
 */
export function isPassing(error: unknown): boolean {
  return error instanceof HeadroomError ? error.retryable : error instanceof Error && error.name === "ReplyError";
}
