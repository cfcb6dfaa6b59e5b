/** Reads what callers of the HTTP intake send. Every fault is reported, each with where it is. */
import type { Request } from "express";
import { checkRunSpec, type RunRequest } from "../contract/run-request.ts";
import type { RunSpec } from "../contract/run-spec.ts";
import { jsonPointer, RequestError } from "../platform/http/problem.ts";

/** What a body asks for: as it was sent, and completed. */
export interface RunBody {
  readonly request: RunRequest;
  readonly spec: RunSpec;
}

/** @throws {RequestError} 400 with all faults */
export function parseRunBody(body: unknown): RunBody {
  const checked = checkRunSpec(body);
  if (checked.kind === "faulty") {
    const errors = checked.faults.map(({ path, expected, found }) => ({
      pointer: jsonPointer(path),
      detail: `expected ${expected}, found ${found}`,
    }));
    const detail = `the run has ${errors.length} ${errors.length === 1 ? "fault" : "faults"}`;
    throw new RequestError(400, detail, { code: "ERR_INVALID_INPUT", errors });
  }
  return { request: body as RunRequest, spec: checked.spec };
}

/** The Idempotency-Key of a request, or undefined when it has none. @throws {RequestError} 400 */
export function parseIdempotencyKey(req: Request): string | undefined {
  const key = req.get("idempotency-key");
  if (key === undefined) return undefined;
  if (/^[\x21-\x7e]{1,200}$/.test(key)) return key;
  throw new RequestError(400, "expected an Idempotency-Key of 1 to 200 printable ASCII characters, found another", {
    code: "ERR_INVALID_INPUT",
    errors: [{ pointer: "Idempotency-Key", detail: "expected 1 to 200 printable ASCII characters without spaces" }],
  });
}
