/** The HTTP intake: runs over HTTP, with the same client that the library and the command line use. */
import express, { type Request, type Response } from "express";
import { PolicyError } from "../contract/errors.ts";
import { placeIn } from "../contract/run-request.ts";
import { showPath } from "../contract/schema-faults.ts";
import { requestTraceId } from "../platform/http/request-context.ts";
import { nextPath, nextRun, parseFileListQuery, parseRunListQuery } from "../platform/http/run-queries.ts";
import type { Route } from "../platform/http/route-table.ts";
import { flowRoutes } from "./flow-routes.ts";
import { goalRoutes, type GoalDeps } from "./goal-routes.ts";
import { SCALING_PATH } from "../contract/scaling.ts";
import { answerScaling, parseScalingQuery } from "../platform/scaling.ts";
import { openApiDocument } from "./openapi.ts";
import { answer, answerRun, expectJson, idOf, type RouteDeps } from "./route-parts.ts";
import { scheduleRoutes } from "./schedule-routes.ts";
import type { RunGate } from "./schedules.ts";
import { parseIdempotencyKey, parseRunBody, type RunBody } from "./run-requests.ts";
import { startOnce } from "./start-once.ts";

/** The largest body of `POST /v1/runs`. */
const MAX_BODY_BYTES = 1024 * 1024;

/** Every route of the intake with the permission that it asks for. */
export function intakeRoutes(deps: GoalDeps, maxWaiting: number): Route[] {
  return [
    {
      method: "post",
      path: "/v1/runs",
      permission: "operate",
      before: [expectJson, express.json({ limit: MAX_BODY_BYTES })],
      handler: (req, res) => createRun(deps, maxWaiting, req, res),
    },
    { method: "get", path: "/v1/runs", permission: "view", handler: (req, res) => listRuns(deps, req, res) },
    {
      method: "get",
      path: "/v1/runs/:id",
      permission: "view",
      handler: async (req, res) => {
        answer(res, 200, await deps.client.status(idOf(req)));
      },
    },
    {
      method: "delete",
      path: "/v1/runs/:id",
      permission: "operate",
      handler: async (req, res) => {
        answer(res, 202, await deps.client.cancel(idOf(req), "cancelled over the HTTP intake"));
      },
    },
    { method: "get", path: "/v1/runs/:id/files", permission: "view", handler: (req, res) => listFiles(deps, req, res) },
    {
      method: "get",
      path: "/v1/runs/:id/explain",
      permission: "view",
      handler: async (req, res) => {
        answer(res, 200, await deps.client.explain(idOf(req)));
      },
    },
    {
      method: "get",
      path: SCALING_PATH,
      permission: "view",
      handler: async (req, res) => {
        const query = parseScalingQuery(new URL(req.originalUrl, "http://intake").searchParams);
        answer(res, 200, answerScaling(await deps.scaling(), query));
      },
    },
    ...flowRoutes(deps, maxWaiting),
    ...goalRoutes(deps),
    ...scheduleRoutes({ client: deps.client, gate: countingGate(deps) }),
    {
      method: "get",
      path: "/v1/openapi.json",
      permission: "open",
      handler: (_req, res) => {
        answer(res, 200, openApiDocument());
      },
    },
  ];
}

async function createRun(deps: RouteDeps, maxWaiting: number, req: Request, res: Response): Promise<void> {
  // A faulty key is told before a faulty body.
  parseIdempotencyKey(req);
  const body = parseRunBody(req.body);
  requireAllowed(deps, body, requestTraceId(res));
  const traceId = body.request.traceId ?? requestTraceId(res);
  const warnings = await deps.client.lacking(body.spec);
  const { run, created } = await startOnce(deps, maxWaiting, req, (key) =>
    deps.client.run({ ...body.request, traceId }, { traceId, isKeyChecked: true, ...key }),
  );
  answerRun(res, created ? 201 : 200, { ...run, warnings });
}

/** Before anything is stored, the idempotency key included. @throws {PolicyError} */
function requireAllowed(deps: RouteDeps, { request, spec }: RunBody, traceId: string): void {
  countingGate(deps, traceId).require(spec, (path) => showPath(placeIn(request, path)));
}

/** The gate of the intake; what it refuses is counted, and told in the log for those who look after it. */
function countingGate({ gate, logger, metrics }: RouteDeps, traceId?: string): RunGate {
  const counted = (ask: () => void, about: object): void => {
    try {
      ask();
    } catch (error) {
      if (!(error instanceof PolicyError)) throw error;
      metrics.counter("headroom_intake_refused_total").inc({ reason: "policy" });
      const { length } = error.faults;
      logger.warn({ audit: true, traceId, faults: length, ...about }, "run refused by policy");
      throw error;
    }
  };
  return {
    require: (spec, placeOf) => {
      counted(
        () => {
          gate.require(spec, placeOf);
        },
        { command: spec.command[0] },
      );
    },
    requireScheduledFlow: (flow) => {
      counted(
        () => {
          gate.requireScheduledFlow(flow);
        },
        { flow: flow.file },
      );
    },
  };
}

async function listRuns({ client }: RouteDeps, req: Request, res: Response): Promise<void> {
  const query = parseRunListQuery(req);
  const runs = await client.list(query);
  answer(res, 200, { runs, next: nextRun(runs, query.limit) });
}

async function listFiles({ client, store }: RouteDeps, req: Request, res: Response): Promise<void> {
  const query = parseFileListQuery(req);
  const run = await client.status(idOf(req));
  const files = await store.files.page(run.id, run.epoch, query);
  const paths = files.map((file) => file.path);
  answer(res, 200, { files, next: nextPath(paths, query.limit) });
}
