/** Errors as problem+json (RFC 9457): one translation from what was thrown to what a caller is told. */
import type { Response } from "express";
import { STATUS_CODES } from "node:http";
import {
  BacklogFullError,
  ConflictError,
  FaultsError,
  HeadroomError,
  IdempotencyKeyReusedError,
  InfrastructureError,
  NotFoundError,
  PlannerUnavailableError,
  PlanRefusedError,
  PolicyError,
} from "../../contract/errors.ts";

/** One fault of a request. `pointer` is a JSON pointer into the body, or `?name` for a query parameter. */
export interface ProblemFault {
  readonly pointer: string;
  readonly detail: string;
  /** The rule of the operator that it is against. */
  readonly rule?: string | undefined;
}

export interface Problem {
  /** `about:blank`: the status says what kind of problem it is, and `code` says more to programs. */
  readonly type: "about:blank";
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly errors?: readonly ProblemFault[];
}

interface RequestErrorDetails {
  readonly code: `ERR_${string}`;
  readonly errors?: readonly ProblemFault[];
  readonly headers?: Readonly<Record<string, string>>;
}

/** A request that is refused with this status; the message is the problem's detail. */
export class RequestError extends HeadroomError {
  readonly code: `ERR_${string}`;
  readonly status: number;
  readonly errors: readonly ProblemFault[] | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, detail: string, details: RequestErrorDetails) {
    super(detail);
    this.status = status;
    this.code = details.code;
    this.errors = details.errors;
    this.headers = details.headers ?? {};
  }
}

/** The answer to what was thrown, and the headers that belong to it. Unknown errors tell nothing of themselves. */
export function problemOf(error: unknown): { problem: Problem; headers: Readonly<Record<string, string>> } {
  if (error instanceof RequestError) {
    return { problem: problem(error.status, error.code, error.message, error.errors), headers: error.headers };
  }
  if (error instanceof FaultsError) {
    const errors = error.faults.map(({ where, expected, found }) => ({
      pointer: pointerOf(where),
      detail: `expected ${expected}, found ${found}`,
    }));
    return {
      problem: problem(statusOfFaults(error), error.code, firstLine(error.message), errors),
      headers: {},
    };
  }
  if (error instanceof BacklogFullError) {
    const headers = { "Retry-After": String(error.retryAfterSeconds) };
    return { problem: problem(429, error.code, error.message), headers };
  }
  if (error instanceof IdempotencyKeyReusedError) {
    const errors = [{ pointer: "", detail: "differs from the body that was first sent under this key" }];
    return { problem: problem(422, error.code, error.message, errors), headers: {} };
  }
  if (error instanceof NotFoundError) return { problem: problem(404, error.code, error.message), headers: {} };
  if (error instanceof ConflictError) return { problem: problem(409, error.code, error.message), headers: {} };
  if (error instanceof InfrastructureError) {
    return { problem: problem(503, error.code, error.message), headers: { "Retry-After": "5" } };
  }
  return { problem: parserProblem(error) ?? unknownProblem(), headers: {} };
}

function statusOfFaults(error: FaultsError): number {
  if (error instanceof PolicyError) return 403;
  if (error instanceof PlanRefusedError) return 422;
  return error instanceof PlannerUnavailableError ? 503 : 400;
}

/** Answers with the problem; nothing of it is ever cached. */
export function sendProblem(res: Response, error: unknown): void {
  const { problem: body, headers } = problemOf(error);
  res
    .status(body.status)
    .set({ ...headers, "Cache-Control": "no-store", "Content-Type": "application/problem+json; charset=utf-8" })
    .send(JSON.stringify(body));
}

/** A JSON pointer (RFC 6901) to this place. */
export function jsonPointer(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

function problem(status: number, code: string, detail: string, errors?: readonly ProblemFault[]): Problem {
  const title = STATUS_CODES[status] ?? "Error";
  return { type: "about:blank", title, status, detail, code, ...(errors && { errors }) };
}

/** What express and its body parser throw carries a status; its own words may quote the request, so ours are told. */
function parserProblem(error: unknown): Problem | undefined {
  if (!(error instanceof Error) || !("status" in error) || typeof error.status !== "number") return undefined;
  if (error.status === 413) return problem(413, "ERR_TOO_LARGE", "the body is larger than the limit");
  if (error.status === 415)
    return problem(415, "ERR_MEDIA_TYPE", "the charset or encoding of the body is not supported");
  if (error.status >= 400 && error.status < 500) {
    const isJson = "type" in error && error.type === "entity.parse.failed";
    return problem(error.status, "ERR_BAD_REQUEST", isJson ? "expected JSON in the body" : "the request is malformed");
  }
  return undefined;
}

function unknownProblem(): Problem {
  return problem(500, "ERR_INTERNAL", "something went wrong here; the log has it under the request id");
}

/** `chunk.maxFiles` becomes `/chunk/maxFiles`; what is no path is told as it is. */
function pointerOf(where: string): string {
  return /^[A-Za-z0-9_]+([.[][A-Za-z0-9_\]]+)*$/.test(where)
    ? jsonPointer(where.split(/[.[\]]+/).filter(Boolean))
    : where;
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? text;
}
