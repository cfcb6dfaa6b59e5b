/** The HTTP intake: runs over HTTP, with the same client that the library and the command line use. */
import express, { type Request, type RequestHandler, type Response } from "express";
import { BacklogFullError, PolicyError } from "../contract/errors.ts";
import type { RunRecord } from "../contract/run-record.ts";
import { placeIn } from "../contract/run-request.ts";
import type { ScalingSignal } from "../contract/scaling.ts";
import { showPath } from "../contract/schema-faults.ts";
import { requestTraceId } from "../platform/http/request-context.ts";
import { RequestError } from "../platform/http/problem.ts";
import { nextPath, nextRun, parseFileListQuery, parseRunListQuery } from "../platform/http/run-queries.ts";
import type { Route } from "../platform/http/route-table.ts";
import type { Logger } from "../platform/logger.ts";
import type { Metrics } from "../platform/metrics.ts";
import type { PolicyGate } from "../platform/policy-gate.ts";
import { answerScaling, parseScalingQuery } from "../platform/scaling.ts";
import type { Store } from "../store/store.ts";
import type { ClientPort } from "./client-port.ts";
import type { Claim, IdempotencyKeys } from "./idempotency.ts";
import { decideIntake, refusalWords } from "./intake.ts";
import { openApiDocument } from "./openapi.ts";
import { scheduleRoutes } from "./schedule-routes.ts";
import { parseIdempotencyKey, parseRunBody, type RunBody } from "./run-requests.ts";

export interface RouteDeps {
  readonly client: ClientPort;
  readonly store: Store;
  readonly idempotency: IdempotencyKeys;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly gate: PolicyGate;
  /** How many workers are wanted, as the leader last decided. */
  scaling(): Promise<ScalingSignal | undefined>;
}

/** The largest body of `POST /v1/runs`. */
const MAX_BODY_BYTES = 1024 * 1024;

/** Every route of the intake with the permission that it asks for. */
export function intakeRoutes(deps: RouteDeps, maxWaiting: number): Route[] {
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
      path: "/v1/scaling",
      permission: "view",
      handler: async (req, res) => {
        const query = parseScalingQuery(new URL(req.originalUrl, "http://intake").searchParams);
        answer(res, 200, answerScaling(await deps.scaling(), query));
      },
    },
    ...scheduleRoutes({ client: deps.client, gate: countingGate(deps) }, expectJson),
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
  const key = parseIdempotencyKey(req);
  const body = parseRunBody(req.body);
  requireAllowed(deps, body, requestTraceId(res));
  const claim: Claim = key === undefined ? { kind: "first" } : await deps.idempotency.claim(key, req.body);
  if (claim.kind === "repeated" && claim.runId !== undefined) {
    answerRun(res, 200, await deps.client.status(claim.runId));
    return;
  }
  try {
    // A repeated request asks for a run that was let in already.
    if (claim.kind === "first") await checkIntake(deps, maxWaiting);
    const { run, created } = await submit(deps, body, key, requestTraceId(res));
    if (key !== undefined) await deps.idempotency.settle(key, req.body, run.id);
    answerRun(res, created ? 201 : 200, run);
  } catch (error) {
    if (key !== undefined && claim.kind === "first") await deps.idempotency.release(key);
    throw error;
  }
}

/** Before anything is stored, the idempotency key included. @throws {PolicyError} */
function requireAllowed(deps: RouteDeps, { request, spec }: RunBody, traceId: string): void {
  countingGate(deps, traceId).require(spec, (path) => showPath(placeIn(request, path)));
}

/** The gate of the intake; what it refuses is counted, and told in the log for those who look after it. */
function countingGate({ gate, logger, metrics }: RouteDeps, traceId?: string): Pick<PolicyGate, "require"> {
  return {
    require: (spec, placeOf) => {
      try {
        gate.require(spec, placeOf);
      } catch (error) {
        if (!(error instanceof PolicyError)) throw error;
        metrics.counter("headroom_intake_refused_total").inc({ reason: "policy" });
        const { length } = error.faults;
        logger.warn({ audit: true, traceId, faults: length, command: spec.command[0] }, "run refused by policy");
        throw error;
      }
    },
  };
}

function submit({ client }: RouteDeps, { request }: RunBody, key: string | undefined, callerTraceId: string) {
  const traceId = request.traceId ?? callerTraceId;
  return client.run({ ...request, traceId }, { traceId, ...(key !== undefined && { idempotencyKey: key }) });
}

function answerRun(res: Response, status: number, run: RunRecord): void {
  res.location(`/v1/runs/${encodeURIComponent(run.id)}`);
  answer(res, status, run);
}

async function checkIntake({ client, metrics }: RouteDeps, maxWaiting: number): Promise<void> {
  const facts = { ...(await client.backlog()), maxWaiting };
  const decision = decideIntake(facts);
  if (decision.kind === "accept") return;
  metrics.counter("headroom_intake_refused_total").inc({ reason: decision.reason });
  throw new BacklogFullError(refusalWords(decision.reason, facts), decision.retryAfterSeconds);
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

const expectJson: RequestHandler = (req, _res, next) => {
  // `is` answers null for a request without a body; that is told as what it is, not as a wrong type.
  if (req.is("application/json") !== false) {
    next();
    return;
  }
  const found = req.get("content-type") ?? "none";
  next(new RequestError(415, `expected application/json, found ${found}`, { code: "ERR_MEDIA_TYPE" }));
};

function idOf(req: Request): string {
  const id = req.params["id"];
  return typeof id === "string" ? id : "";
}

function answer(res: Response, status: number, body: unknown): void {
  res.status(status).set("Cache-Control", "no-store").json(body);
}
