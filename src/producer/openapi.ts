/** The OpenAPI 3.1 document of the HTTP intake, made from the schemas that it checks with. */
import { z } from "zod";
import { runRequest } from "../contract/run-request.ts";
import { scalingAnswer } from "../contract/scaling.ts";
import { fileListQuery, runListQuery } from "../platform/http/run-queries.ts";
import {
  backfillAnswer,
  cancelAck,
  explanation,
  filePage,
  problem,
  runPage,
  runRecord,
  runStatus,
  scheduleList,
  scheduleStatus,
} from "./responses.ts";
import { backfillRequest, schedulePatch, scheduleRequest } from "./schedule-routes.ts";

type Json = Readonly<Record<string, unknown>>;

const shapes = {
  RunRequest: runRequest,
  Run: runRecord,
  RunStatus: runStatus,
  RunPage: runPage,
  FilePage: filePage,
  Explanation: explanation,
  CancelAck: cancelAck,
  ScheduleRequest: scheduleRequest,
  SchedulePatch: schedulePatch,
  Schedule: scheduleStatus,
  ScheduleList: scheduleList,
  BackfillRequest: backfillRequest,
  Backfill: backfillAnswer,
  Scaling: scalingAnswer,
  Problem: problem,
} as const;
type ShapeName = keyof typeof shapes;

const problems = {
  400: "The request has faults; `errors` names each.",
  401: "No valid bearer token.",
  403: "The run asks for what the operator does not allow (`ERR_POLICY`; `errors` names each), or a page of another site asked.",
  404: "No run of this id, or no schedule or profile of this name.",
  405: "Another method is expected.",
  409: "Another run writes to the output folder; or the schedule's name is taken, or the configuration declares it.",
  413: "The body is larger than 1 MiB.",
  415: "The body is not application/json.",
  422: "Another body came first under this Idempotency-Key.",
  429: "The cluster has no room for new runs now; `Retry-After` says when to ask again.",
  503: "Redis or the store does not answer, or no scheduler leads.",
} as const;
type ProblemStatus = keyof typeof problems;

/** The whole document; pure, so that the committed copy can be compared with it. */
export function openApiDocument(): Json {
  return {
    openapi: "3.1.0",
    info: {
      title: "Headroom intake",
      version: "1",
      description: "Runs over HTTP. Every error is a problem+json document (RFC 9457).",
      license: { name: "UNLICENSED", identifier: "LicenseRef-UNLICENSED" },
    },
    servers: [{ url: "/" }],
    security: [{ token: [] }],
    tags: [
      { name: "runs", description: "What was asked for, and what became of it." },
      { name: "schedules", description: "Runs that start again and again." },
      { name: "scaling", description: "How many workers the jobs that wait ask for." },
    ],
    paths: paths(),
    components: {
      securitySchemes: {
        token: { type: "http", scheme: "bearer", description: "Needed when the intake listens beyond loopback." },
      },
      parameters: { RunId: pathParameter("id"), ScheduleName: pathParameter("name") },
      schemas: Object.fromEntries(Object.entries(shapes).map(([name, schema]) => [name, schemaOf(schema)])),
      responses: Object.fromEntries(
        Object.entries(problems).map(([status, text]) => [`Problem${status}`, fault(status, text)]),
      ),
    },
  };
}

const runs = { tags: ["runs"] } as const;

function collection(): Json {
  return {
    post: {
      ...runs,
      operationId: "createRun",
      summary: "Ask for a run",
      parameters: [
        header("Idempotency-Key", "The same key and body give the same run again, with status 200."),
        header("traceparent", "W3C Trace Context; the trace id goes on into every log line of the run."),
      ],
      requestBody: body("RunRequest"),
      responses: {
        201: {
          ...ok("The run was stored and enqueued.", "Run"),
          headers: { Location: { schema: { type: "string" } } },
        },
        200: ok("The run of this Idempotency-Key.", "Run"),
        ...refusals(400, 401, 403, 409, 413, 415, 422, 429, 503),
      },
    },
    get: {
      ...runs,
      operationId: "listRuns",
      summary: "Runs, newest first",
      parameters: queryParameters(runListQuery),
      responses: { 200: ok("A page of runs.", "RunPage"), ...refusals(400, 401, 503) },
    },
  };
}

function paths(): Json {
  const runId = { $ref: "#/components/parameters/RunId" };
  return {
    "/v1/runs": collection(),
    "/v1/runs/{id}": {
      parameters: [runId],
      get: {
        ...runs,
        operationId: "getRun",
        summary: "State, counts and live progress of a run",
        responses: { 200: ok("The run.", "RunStatus"), ...refusals(401, 404, 503) },
      },
      delete: {
        ...runs,
        operationId: "cancelRun",
        summary: "Cancel a run",
        responses: {
          202: ok("The cancellation is on its way, or done.", "CancelAck"),
          ...refusals(401, 403, 404, 503),
        },
      },
    },
    "/v1/runs/{id}/files": {
      parameters: [runId],
      get: {
        ...runs,
        operationId: "listFiles",
        summary: "File results of a run, in path order",
        parameters: queryParameters(fileListQuery),
        responses: { 200: ok("A page of file results.", "FilePage"), ...refusals(400, 401, 404, 503) },
      },
    },
    ...schedulePaths(),
    "/v1/scaling": {
      get: {
        tags: ["scaling"],
        operationId: "getScaling",
        summary: "How many workers are wanted, in all or for a part of the jobs, and why",
        parameters: [
          queryText("profile", "Of this profile alone."),
          queryText("labels", "Of the workers with these labels, between commas; empty for those without."),
        ],
        responses: { 200: ok("The number is `value`.", "Scaling"), ...refusals(400, 401, 404, 503) },
      },
    },
    "/v1/runs/{id}/explain": {
      parameters: [{ ...runId }],
      get: {
        ...runs,
        operationId: "explain",
        summary: "Why a run, or the job of this id, is not running",
        responses: { 200: ok("The reasons, at least one.", "Explanation"), ...refusals(401, 404, 503) },
      },
    },
  };
}

const schedules = { tags: ["schedules"] } as const;

function schedulePaths(): Json {
  const name = { $ref: "#/components/parameters/ScheduleName" };
  return {
    "/v1/schedules": {
      get: {
        ...schedules,
        operationId: "listSchedules",
        summary: "All schedules, in order of their names",
        responses: { 200: ok("The schedules.", "ScheduleList"), ...refusals(401, 503) },
      },
      post: {
        ...schedules,
        operationId: "createSchedule",
        summary: "Declare a schedule",
        requestBody: body("ScheduleRequest"),
        responses: {
          201: {
            ...ok("The schedule, and its next times.", "Schedule"),
            headers: { Location: { schema: { type: "string" } } },
          },
          ...refusals(400, 401, 403, 409, 413, 415, 503),
        },
      },
    },
    "/v1/schedules/{name}": { parameters: [name], ...oneSchedule() },
    "/v1/schedules/{name}/backfill": {
      parameters: [name],
      post: {
        ...schedules,
        operationId: "backfillSchedule",
        summary: "Run the times of a range in the past, one after the other",
        requestBody: body("BackfillRequest"),
        responses: {
          202: ok("How many times are to be run.", "Backfill"),
          ...refusals(400, 401, 403, 404, 413, 415, 503),
        },
      },
    },
  };
}

function oneSchedule(): Json {
  return {
    get: {
      ...schedules,
      operationId: "getSchedule",
      summary: "A schedule with its next times and what became of the last",
      responses: { 200: ok("The schedule.", "Schedule"), ...refusals(401, 404, 503) },
    },
    patch: {
      ...schedules,
      operationId: "changeSchedule",
      summary: "Change parts of a schedule, pause it, or let it go on",
      requestBody: body("SchedulePatch"),
      responses: {
        200: ok("The schedule as it is now.", "Schedule"),
        ...refusals(400, 401, 403, 404, 409, 413, 415, 503),
      },
    },
    delete: {
      ...schedules,
      operationId: "removeSchedule",
      summary: "Remove a schedule; its runs stay",
      responses: { 204: { description: "It is gone." }, ...refusals(401, 403, 404, 409, 503) },
    },
  };
}

function body(shape: ShapeName): Json {
  return { required: true, content: { "application/json": { schema: ref(shape) } } };
}

function pathParameter(name: string): Json {
  return { name, in: "path", required: true, schema: { type: "string" } };
}

function ok(description: string, shape: ShapeName): Json {
  return { description, content: { "application/json": { schema: ref(shape) } } };
}

function refusals(...statuses: ProblemStatus[]): Json {
  return Object.fromEntries(statuses.map((status) => [status, { $ref: `#/components/responses/Problem${status}` }]));
}

function fault(status: string, description: string): Json {
  const content = { "application/problem+json": { schema: ref("Problem") } };
  const seconds = { description: "Seconds", schema: { type: "integer" } };
  return { description, content, ...(status === "429" && { headers: { "Retry-After": seconds } }) };
}

function ref(shape: ShapeName): Json {
  return { $ref: `#/components/schemas/${shape}` };
}

function queryText(name: string, description: string): Json {
  return { name, in: "query", required: false, description, schema: { type: "string" } };
}

function header(name: string, description: string): Json {
  return { name, in: "header", required: false, description, schema: { type: "string" } };
}

function queryParameters(schema: z.ZodObject): Json[] {
  const { properties } = schemaOf(schema) as { properties: Readonly<Record<string, Json>> };
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: "query",
    required: false,
    schema: property,
  }));
}

/** The JSON schema of what callers may send; for answers both forms are the same. */
function schemaOf(schema: z.ZodType): Json {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io: "input", target: "draft-2020-12" });
  return rest;
}
