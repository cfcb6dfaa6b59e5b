/** Puts the HTTP intake together. The command line reads the environment and opens what it is given. */
import express, { type Express } from "express";
import helmet from "helmet";
import type { Redis } from "ioredis";
import { InvalidInputError } from "../contract/errors.ts";
import { bearerOf, isLoopback, isSameSecret, refuseCrossSite, refuseForeignHost } from "../platform/http/access.ts";
import { HttpService } from "../platform/http/http-service.ts";
import { RequestError } from "../platform/http/problem.ts";
import { problemHandler, requestContext } from "../platform/http/request-context.ts";
import { mountNotFound, mountRoutes, type Authorize } from "../platform/http/route-table.ts";
import type { Service } from "../platform/lifecycle.ts";
import type { Logger } from "../platform/logger.ts";
import type { Metrics } from "../platform/metrics.ts";
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
}

/** The intake as a service that knows its URL. */
export interface Producer extends Service {
  readonly url: string;
}

/** The HTTP intake as a service. @throws {InvalidInputError} when it would be open to the network without a token. */
export function createProducer(deps: ProducerDeps, config: ProducerConfig): Producer {
  if (!isLoopback(config.host) && config.token === undefined) {
    const expected = `a bearer token, because the intake listens on ${config.host}`;
    throw new InvalidInputError("intake", [{ where: "producer token", expected, found: "none" }]);
  }
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
  mountRoutes(app, intakeRoutes({ ...deps, idempotency }, config.maxWaitingJobs), authorize);
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
