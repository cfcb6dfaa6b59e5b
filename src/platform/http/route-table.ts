/** Routes with the permission that each asks for, in one table; what is not in the table is refused. */
import type { Express, Request, RequestHandler, Response } from "express";
import { NotFoundError } from "../../contract/errors.ts";
import type { Metrics } from "../metrics.ts";
import { RequestError } from "./problem.ts";

/** `open`: anybody. `view`: who may read. `operate`: who may change something. */
type Permission = "open" | "view" | "operate";

export interface Route {
  readonly method: "get" | "post" | "patch" | "delete";
  /** As express writes it: `/runs/:id`, `/files/*path`. */
  readonly path: string;
  readonly permission: Permission;
  readonly handler: (req: Request, res: Response) => Promise<void> | void;
  /** Runs after the permission was checked and before the handler: body parsers. */
  readonly before?: readonly RequestHandler[];
}

/** Asks whether the caller of a request has a permission; calls `next`, or answers. */
export type Authorize = (permission: Permission) => RequestHandler;

/** Adds the routes. A known path with another method gets 405 with `Allow`; both ask for the path's permission first. */
export function mountRoutes(app: Express, routes: readonly Route[], authorize: Authorize): void {
  for (const route of routes) {
    const before = route.before ?? [];
    app[route.method](route.path, setPattern(route.path), authorize(route.permission), ...before, async (req, res) => {
      await route.handler(req, res);
    });
  }
  for (const path of new Set(routes.map((route) => route.path))) {
    const here = routes.filter((route) => route.path === path);
    const methods = here.map((route) => route.method.toUpperCase());
    const allow = [...new Set(methods.includes("GET") ? [...methods, "HEAD"] : methods)].join(", ");
    const permission = here.every((route) => route.permission === "open") ? "open" : "view";
    app.all(path, setPattern(path), authorize(permission), (req) => {
      const detail = `expected ${allow}, found ${req.method}`;
      throw new RequestError(405, detail, { code: "ERR_METHOD_NOT_ALLOWED", headers: { Allow: allow } });
    });
  }
}

/** Refusals and errors, which alerts count: their series begin with 0 on each route. */
const refusals = ["401", "403", "429", "500", "503"];

/** Lets the series of these routes begin with 0. */
export function beginRoutes(metrics: Metrics, routes: readonly Pick<Route, "method" | "path">[]): void {
  for (const { method, path } of routes) {
    const labels = { method: method.toUpperCase(), route: path };
    metrics.histogram("headroom_http_request_duration_seconds").zero(labels);
    for (const status of refusals) metrics.counter("headroom_http_requests_total").inc({ ...labels, status }, 0);
  }
}

/** The last handler: what no route took. Who may not read does not learn which routes there are. */
export function mountNotFound(app: Express, authorize: Authorize): void {
  app.use(authorize("view"), (req) => {
    throw new NotFoundError("route", `${req.method} ${req.path}`);
  });
}

/** The pattern of the route that took the request, for metrics and logs; never a path with ids in it. */
export function patternOf(res: Response): string {
  const pattern: unknown = res.locals["routePattern"];
  return typeof pattern === "string" ? pattern : "other";
}

/** Says which pattern takes a request, where it is not a route of a table. */
export function setPattern(pattern: string): RequestHandler {
  return (_req, res, next) => {
    res.locals["routePattern"] = pattern;
    next();
  };
}
