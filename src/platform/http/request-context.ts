/** What every request gets: an id, the trace id of its caller, one log line and its metrics when it is answered. */
import type { ErrorRequestHandler, RequestHandler, Response } from "express";
import { randomUUID } from "node:crypto";
import type { Logger } from "../logger.ts";
import type { Metrics } from "../metrics.ts";
import { newTraceId, withTrace } from "../trace.ts";
import { problemOf, sendProblem } from "./problem.ts";
import { patternOf } from "./route-table.ts";

interface Deps {
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Gives the request its ids and writes it down when it is answered. The first middleware of every app. */
export function requestContext({ logger, metrics }: Deps): RequestHandler {
  return (req, res, next) => {
    const startedAt = performance.now();
    const given = req.get("x-request-id");
    const requestId = given !== undefined && /^[\w.-]{1,128}$/.test(given) ? given : randomUUID();
    const traceId = traceIdOf(req.get("traceparent")) ?? newTraceId();
    res.locals["requestId"] = requestId;
    res.locals["traceId"] = traceId;
    res.set("X-Request-Id", requestId);
    res.once("close", () => {
      const seconds = (performance.now() - startedAt) / 1_000;
      const labels = { method: methodLabel(req.method), route: patternOf(res) };
      metrics.counter("headroom_http_requests_total").inc({ ...labels, status: String(res.statusCode) });
      metrics.histogram("headroom_http_request_duration_seconds").observe(labels, seconds);
      const fields = { requestId, ...labels, status: res.statusCode, durationMs: Math.round(seconds * 1_000) };
      withTrace(traceId, () => {
        logger.debug(fields, "request answered");
      });
    });
    withTrace(traceId, next);
  };
}

/** The last middleware: answers with a problem, and logs what is our fault. */
export function problemHandler(logger: Logger): ErrorRequestHandler {
  return (error: unknown, _req, res, next) => {
    if (res.headersSent) {
      next(error);
      return;
    }
    logServerError(logger, res, error);
    sendProblem(res, error);
  };
}

/** Logs the error of a request when the caller could not have avoided it. */
export function logServerError(logger: Logger, res: Response, error: unknown): void {
  if (problemOf(error).problem.status >= 500) {
    logger.error({ err: error, requestId: requestIdOf(res), route: patternOf(res) }, "request failed");
  }
}

function requestIdOf(res: Response): string {
  return String(res.locals["requestId"]);
}

/** The trace id that the caller sent, or a new one. */
export function requestTraceId(res: Response): string {
  return String(res.locals["traceId"]);
}

/** The trace id in a W3C `traceparent` header, or undefined when it is none. */
export function traceIdOf(header: string | undefined): string | undefined {
  const traceId = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-|$)/.exec(header ?? "")?.[1];
  return traceId === "0".repeat(32) ? undefined : traceId;
}

/** A method as a label: what callers may invent must not make new series. */
function methodLabel(method: string): string {
  return ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].includes(method) ? method : "other";
}
