/** The OpenAPI 3.1 document of the HTTP intake, made from the schemas that it checks with. */
import { runRequest } from "../contract/run-request.ts";
import { SCALING_PATH, scalingAnswer } from "../contract/scaling.ts";
import { fileListQuery, runListQuery } from "../platform/http/run-queries.ts";
import {
  backfillAnswer,
  cancelAck,
  explanation,
  filePage,
  problem,
  runPage,
  runRecord,
  startedRun,
  runStatus,
  scheduleList,
  scheduleStatus,
} from "./responses.ts";
import { flowPaths, flowShapes } from "./openapi-flows.ts";
import {
  body,
  fault,
  header,
  ok,
  pathParameter,
  problems,
  queryParameters,
  queryText,
  refusals,
  schemaOf,
  type Json,
} from "./openapi-parts.ts";
import { backfillRequest, schedulePatch, scheduleRequest } from "./schedule-routes.ts";

const shapes = {
  RunRequest: runRequest,
  Run: runRecord,
  StartedRun: startedRun,
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
  ...flowShapes,
  Problem: problem,
} as const;

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
      { name: "flows", description: "Graphs of nodes, and how far each node is." },
      { name: "schedules", description: "Runs that start again and again." },
      { name: "scaling", description: "How many workers the jobs that wait ask for." },
    ],
    paths: paths(),
    components: {
      securitySchemes: {
        token: { type: "http", scheme: "bearer", description: "Needed when the intake listens beyond loopback." },
      },
      parameters: {
        RunId: pathParameter("id"),
        RunName: pathParameter("run"),
        NodeName: pathParameter("node"),
        PlanHash: pathParameter("hash"),
        ScheduleName: pathParameter("name"),
      },
      schemas: Object.fromEntries(
        Object.entries(shapes).map(([name, schema]) => [name, schemaOf(schema, `#/components/schemas/${name}`)]),
      ),
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
          ...ok("The run was stored and enqueued.", "StartedRun"),
          headers: { Location: { schema: { type: "string" } } },
        },
        200: ok("The run of this Idempotency-Key.", "StartedRun"),
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
    ...flowPaths(),
    ...schedulePaths(),
    [SCALING_PATH]: {
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
