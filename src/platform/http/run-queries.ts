/** The queries of lists of runs and files, as every port takes them. A parameter with an empty value counts as absent. */
import type { Request } from "express";
import { z } from "zod";
import { outcomes, runStates, type Outcome, type RunState } from "../../contract/outcomes.ts";
import { pathFromPrintable, printablePath } from "../../contract/path-bytes.ts";
import { schemaFaults } from "../../contract/schema-faults.ts";
import { RequestError } from "./problem.ts";

/** The query of the list of runs. */
export const runListQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  before: z.string().min(1).optional(),
  state: z.enum(runStates).optional(),
});

/** The query of a run's files. `after` and the answers' paths are in the printable form. */
export const fileListQuery = z.strictObject({
  outcome: z.enum(outcomes).optional(),
  search: z.string().max(500).optional(),
  after: z.string().min(1).optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
});

export interface RunQuery {
  readonly limit: number;
  readonly before?: string;
  readonly states?: readonly RunState[];
}

export interface FilePageQuery {
  readonly limit: number;
  readonly afterPath?: string;
  readonly outcome?: Outcome;
  readonly search?: string;
}

/** @throws {RequestError} 400 with all faults */
export function parseRunListQuery(req: Request): RunQuery {
  const { limit, before, state } = parseQuery(runListQuery, req);
  return { limit, ...(before !== undefined && { before }), ...(state !== undefined && { states: [state] }) };
}

/** @throws {RequestError} 400 with all faults */
export function parseFileListQuery(req: Request): FilePageQuery {
  const { limit, after, outcome, search } = parseQuery(fileListQuery, req);
  return {
    limit,
    ...(after !== undefined && { afterPath: pathFromPrintable(after) }),
    ...(outcome !== undefined && { outcome }),
    ...(search !== undefined && { search }),
  };
}

/** The value of `after` for the page behind this one; null when this one was not full. */
export function nextPath(paths: readonly string[], limit: number): string | null {
  const last = paths.at(-1);
  return last === undefined || paths.length < limit ? null : printablePath(last);
}

/** The value of `before` for the page behind this one; null when this one was not full. */
export function nextRun(runs: readonly { readonly id: string }[], limit: number): string | null {
  const last = runs.at(-1);
  return last === undefined || runs.length < limit ? null : last.id;
}

function parseQuery<T extends z.ZodObject>(schema: T, req: Request): z.output<T> {
  const given = Object.fromEntries(Object.entries(req.query).filter(([, value]) => value !== ""));
  const read = schema.safeParse(given);
  if (read.success) return read.data;
  const known = Object.keys(schema.shape);
  const errors = schemaFaults(read.error.issues, given, () => known).map(({ path, expected, found }) => ({
    pointer: `?${path.join(".")}`,
    detail: `expected ${expected}, found ${found}`,
  }));
  throw new RequestError(400, "the query has faults", { code: "ERR_INVALID_INPUT", errors });
}
