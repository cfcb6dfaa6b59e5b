/** What the parts of the OpenAPI document are made of. */
import { z } from "zod";

export type Json = Readonly<Record<string, unknown>>;

/** Every problem by its status. */
export const problems = {
  400: "The request has faults; `errors` names each.",
  401: "No valid bearer token.",
  403: "The run asks for what the operator does not allow (`ERR_POLICY`; `errors` names each), or a page of another site asked.",
  404: "No run of this id, no node, schedule or profile of this name, or no plan of this hash.",
  405: "Another method is expected.",
  409: "Another run writes to the output folder; the node has ended, or its gate has an answer; or the schedule's name is taken, or the configuration declares it.",
  413: "The body is larger than its limit: 8 MiB for flows, 1 MiB for the others.",
  415: "The body is not application/json.",
  422: "Another body came first under this Idempotency-Key; or the planner made no plan that may run.",
  429: "The cluster has no room for new runs now; `Retry-After` says when to ask again.",
  503: "Redis, the store or the planner does not answer, or no scheduler leads.",
} as const;
type ProblemStatus = keyof typeof problems;

/** A body of this shape. */
export function body(shape: string): Json {
  return { required: true, content: { "application/json": { schema: ref(shape) } } };
}

/** A part of the path. */
export function pathParameter(name: string): Json {
  return { name, in: "path", required: true, schema: { type: "string" } };
}

/** An answer of this shape. */
export function ok(description: string, shape: string): Json {
  return { description, content: { "application/json": { schema: ref(shape) } } };
}

/** The problems that a route answers with. */
export function refusals(...statuses: ProblemStatus[]): Json {
  return Object.fromEntries(statuses.map((status) => [status, { $ref: `#/components/responses/Problem${status}` }]));
}

/** A problem. */
export function fault(status: string, description: string): Json {
  const content = { "application/problem+json": { schema: ref("Problem") } };
  const seconds = { description: "Seconds", schema: { type: "integer" } };
  return { description, content, ...(status === "429" && { headers: { "Retry-After": seconds } }) };
}

/** A shape by its name. */
export function ref(shape: string): Json {
  return { $ref: `#/components/schemas/${shape}` };
}

/** A text of a query. */
export function queryText(name: string, description: string): Json {
  return { name, in: "query", required: false, description, schema: { type: "string" } };
}

/** A header that may be sent. */
export function header(name: string, description: string): Json {
  return { name, in: "header", required: false, description, schema: { type: "string" } };
}

/** The parameters of a query. */
export function queryParameters(schema: z.ZodObject): Json[] {
  const { properties } = schemaOf(schema) as { properties: Readonly<Record<string, Json>> };
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: "query",
    required: false,
    schema: property,
  }));
}

/**
 * The JSON schema of what callers may send; for answers both forms are the same. What it refers to within itself is found
 * at `place` in the whole document.
 */
export function schemaOf(schema: z.ZodType, place = "#"): Json {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io: "input", target: "draft-2020-12" });
  return JSON.parse(JSON.stringify(rest).replaceAll('"$ref":"#/', `"$ref":"${place}/`)) as Json;
}
