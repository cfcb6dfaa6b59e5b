/** Puts the HTTP intake together. The command line reads the environment and opens what it is given. */
import express, { type Express } from "express";
import helmet from "helmet";
import type { Redis } from "ioredis";
import { InvalidInputError, type Fault } from "../contract/errors.ts";
import { systemClock, type Clock } from "../platform/clock.ts";
import { bearerOf, isLoopback, isSameSecret, refuseCrossSite, refuseForeignHost } from "../platform/http/access.ts";
import { HttpService } from "../platform/http/http-service.ts";
import { RequestError } from "../platform/http/problem.ts";
import { problemHandler, requestContext } from "../platform/http/request-context.ts";
import { beginRoutes, mountNotFound, mountRoutes, type Authorize } from "../platform/http/route-table.ts";
import type { Service } from "../platform/lifecycle.ts";
import type { Logger } from "../platform/logger.ts";
import type { Metrics } from "../platform/metrics.ts";
import { PolicyGate } from "../platform/policy-gate.ts";
import { loadScaling } from "../platform/scaling.ts";
import type { Store } from "../store/store.ts";
import type { ClientPort } from "./client-port.ts";
import type { ProducerConfig } from "./config.ts";
import { IdempotencyKeys } from "./idempotency.ts";
import { intakeRoutes } from "./routes.ts";

export interface ProducerDeps {
  readonly client: ClientPort;
  readonly store: Store;
  /** Stays the caller's, as the client and the store do. */
  readonly redis: Redis;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** The absolute path of a program of the configuration. @throws {InvalidInputError} when it is not there */
  readonly programPath?: (name: string) => string;
  /** Where keys of planners are. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly clock?: Clock;
}

/** The intake as a service that knows its URL. */
export interface Producer extends Service {
  readonly url: string;
}

/** The HTTP intake as a service. @throws {InvalidInputError} when the network could reach it and it is not safe for that */
export function createProducer(deps: ProducerDeps, config: ProducerConfig): Producer {
  const faults = isLoopback(config.host) ? [] : exposureFaults(config);
  if (faults.length > 0) throw new InvalidInputError("intake", faults);
  const http = new HttpService(createApp(deps, config), config);
  return {
    get url() {
      return http.url;
    },
    async start() {
      await http.start();
      deps.logger.info({ url: http.url, token: config.token !== undefined }, "intake listens");
    },
    stop: (deadline) => http.stop(deadline),
  };
}

/** What an intake that the network reaches lacks: who may call, and what a call may run. */
function exposureFaults({ host, token, allow }: ProducerConfig): Fault[] {
  const why = `because the intake listens on ${host}`;
  const faults: Fault[] = [];
  if (token === undefined) {
    const expected = `a bearer token (HEADROOM_PRODUCER_TOKEN), ${why}`;
    faults.push({ where: "producer token", expected, found: "none" });
  }
  if (allow?.binaries === undefined) {
    const expected = `a list of the binaries that runs may use, ${why}; to let callers run any, say so: HEADROOM_ALLOW_BINARIES=any`;
    faults.push({ where: "allow.binaries", expected, found: "nothing" });
  }
  return faults;
}

function createApp(deps: ProducerDeps, config: ProducerConfig): Express {
  const app = express();
  app.set("query parser", "simple");
  app.set("etag", false);
  // Over plain HTTP browsers ignore it, and a proxy would hand on a promise that the intake cannot keep.
  const strictTransportSecurity = config.publicOrigin?.startsWith("https:") ?? false;
  app.use(requestContext(deps), helmet({ strictTransportSecurity }), refuseCrossSite(config.publicOrigin));
  if (config.token === undefined) app.use(refuseForeignHost());
  const authorize = bearerAuthorize(config.token);
  const idempotency = new IdempotencyKeys(deps.redis, config.prefix);
  const gate = new PolicyGate(config.allow);
  const { agents = {}, profiles = {}, planners = {} } = config;
  const { programPath = (name: string) => name, env = {}, clock = systemClock } = deps;
  const scaling = () => loadScaling(deps.redis, config.prefix);
  const parts = { ...deps, idempotency, gate, agents, profiles, programPath, planners, env, clock, scaling };
  const routes = intakeRoutes(parts, config.maxWaitingJobs);
  beginRoutes(deps.metrics, routes);
  mountRoutes(app, routes, authorize);
  mountNotFound(app, authorize);
  app.use(problemHandler(deps.logger));
  return app;
}

/** With a token, whoever carries it may do everything; without one, whoever reaches the port may. */
function bearerAuthorize(token: string | undefined): Authorize {
  return (permission) => (req, _res, next) => {
    if (permission === "open" || token === undefined || isSameSecret(bearerOf(req) ?? "", token)) {
      next();
      return;
    }
    const headers = { "WWW-Authenticate": 'Bearer realm="headroom"' };
    next(new RequestError(401, "expected a valid bearer token", { code: "ERR_UNAUTHORIZED", headers }));
  };
}
