/** Puts the board together. The command line reads the environment and opens what it is given. */
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from "express";
import helmet from "helmet";
import type { Redis } from "ioredis";
import type { RunReport } from "../contract/run-record.ts";
import { isLoopback, refuseCrossSite, refuseForeignHost } from "../platform/http/access.ts";
import { systemClock, type Clock } from "../platform/clock.ts";
import { HttpService } from "../platform/http/http-service.ts";
import { problemOf } from "../platform/http/problem.ts";
import { logServerError, problemHandler, requestContext } from "../platform/http/request-context.ts";
import { beginRoutes, mountNotFound, mountRoutes, setPattern, type Route } from "../platform/http/route-table.ts";
import { JobQueues } from "../platform/job-queues.ts";
import type { Service } from "../platform/lifecycle.ts";
import type { Logger } from "../platform/logger.ts";
import type { Metrics } from "../platform/metrics.ts";
import type { Store } from "../store/store.ts";
import { apiRoutes } from "./api/routes.ts";
import { loadAdminToken } from "./auth/admin-token.ts";
import { createAuthorize, isPage, type Login } from "./auth/authorize.ts";
import { LoginLimit } from "./auth/login-limit.ts";
import { loginRoutes } from "./auth/routes.ts";
import { Sessions } from "./auth/sessions.ts";
import { createQueuesView, QUEUES_PATH } from "./bull-board.ts";
import { boardDefaults, type BoardConfig } from "./config.ts";
import { FlowReader } from "./flow-reader.ts";
import { gateRoutes } from "./gate-routes.ts";
import { healthRoutes } from "./health.ts";
import { problemPage } from "./page/login-page.ts";
import { assetRoutes, pageRoutes, sendPage } from "./page/routes.ts";
import { reportRoutes } from "./report-routes.ts";
import { RunReader } from "./run-reader.ts";

export interface BoardDeps {
  /** Stays the caller's, as Redis does. */
  readonly store: Store;
  readonly redis: Redis;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly clock?: Clock;
  /** The report of an ended run as a page of text. */
  readonly reportMarkdown: (report: RunReport) => string;
  /** Tells a person of a token that was made just now: the one time that it is shown. */
  readonly tellToken?: (text: string) => void;
}

/** The board as a service that knows its URL. */
export interface Board extends Service {
  readonly url: string;
}

export function createBoard(deps: BoardDeps, config: BoardConfig): Board {
  return new BoardService(deps, config);
}

class BoardService implements Board {
  readonly #deps: BoardDeps;
  readonly #config: BoardConfig;
  readonly #queues: JobQueues;
  #http: HttpService | undefined;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(deps: BoardDeps, config: BoardConfig) {
    this.#deps = deps;
    this.#config = config;
    this.#queues = new JobQueues(deps.redis, config.prefix);
  }

  get url(): string {
    if (this.#http === undefined) throw new TypeError("expected a started board, found one that was not started");
    return this.#http.url;
  }

  start(): Promise<void> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  stop(deadline?: AbortSignal): Promise<void> {
    this.#stopping ??= this.#stop(deadline);
    return this.#stopping;
  }

  async #start(): Promise<void> {
    const login = await openLogin(this.#deps, this.#config);
    this.#http = new HttpService(createApp(this.#deps, this.#config, this.#queues, login), this.#config);
    await this.#http.start();
    this.#deps.logger.info({ url: this.url, login: login !== undefined }, "board listens");
  }

  async #stop(deadline?: AbortSignal): Promise<void> {
    await this.#starting?.catch(() => undefined); // A failed start was told to its caller.
    try {
      await this.#http?.stop(deadline);
    } finally {
      await this.#queues.close();
    }
  }
}

async function openLogin(deps: BoardDeps, config: BoardConfig): Promise<Login | undefined> {
  if (config.login === "never" && !isLoopback(config.host)) {
    deps.logger.warn({ host: config.host }, "the board is open to the network without a login, as configured");
  }
  if (config.login === "never" || (config.login === "auto" && isLoopback(config.host))) return undefined;
  const { token, madeAt } = await loadAdminToken(config.home, config.token);
  if (madeAt !== undefined) deps.tellToken?.(`Board token: ${token}\nIt is kept in ${madeAt}\n`);
  const isSecure = config.publicOrigin?.startsWith("https:") ?? false;
  const seconds = config.sessionSeconds ?? boardDefaults.sessionSeconds;
  return { token, sessions: new Sessions(deps.redis, { prefix: config.prefix, seconds, isSecure, token }) };
}

function createApp(deps: BoardDeps, config: BoardConfig, queues: JobQueues, login: Login | undefined): Express {
  const { logger, redis, store, metrics } = deps;
  const app = express();
  app.set("query parser", "simple");
  app.set("etag", false);
  app.set("trust proxy", config.trustedProxies ?? 0);
  app.use(requestContext(deps), securityHeaders(config), refuseCrossSite(config.publicOrigin));
  if (login === undefined && isLoopback(config.host)) app.use(refuseForeignHost());
  const authorize = createAuthorize(login);
  const view = createQueuesView(
    { redis, queues, logger },
    { prefix: config.prefix, allowDestructive: config.allowDestructive ?? false },
  );
  app.use(QUEUES_PATH, setPattern(QUEUES_PATH), authorize("operate"), ...view);
  const reader = new RunReader({ store, redis, queues, clock: deps.clock ?? systemClock, prefix: config.prefix });
  const flows = new FlowReader({ redis, prefix: config.prefix, store });
  const routes: Route[] = [
    ...assetRoutes(),
    ...healthRoutes(metrics, { redis: () => pong(redis), store: () => store.ping() }),
    ...(login === undefined ? [] : loginRoutes({ login, limit: new LoginLimit(redis, config.prefix), logger })),
    ...apiRoutes({ reader, store }),
    ...gateRoutes({ reader, redis, queues, logger, prefix: config.prefix }),
    ...reportRoutes({ reader, reportMarkdown: deps.reportMarkdown }),
    ...pageRoutes({ reader, flows, store, hasLogin: login !== undefined }),
  ];
  beginRoutes(metrics, routes);
  mountRoutes(app, routes, authorize);
  mountNotFound(app, authorize);
  app.use(pageProblems(logger), problemHandler(logger));
  return app;
}

async function pong(redis: Redis): Promise<void> {
  await redis.ping();
}

/** Nothing from elsewhere and nothing inline. Bull Board's page has inline styles; it gets those and no more. */
function securityHeaders({ publicOrigin }: BoardConfig): RequestHandler {
  const isHttps = publicOrigin?.startsWith("https:") ?? false;
  const policy = (styles: string[]) =>
    helmet({
      contentSecurityPolicy: {
        useDefaults: false,
        directives: {
          defaultSrc: ["'none'"],
          scriptSrc: ["'self'"],
          styleSrc: styles,
          imgSrc: ["'self'", "data:"],
          fontSrc: ["'self'"],
          connectSrc: ["'self'"],
          formAction: ["'self'"],
          baseUri: ["'self'"],
          frameAncestors: ["'none'"],
        },
      },
      referrerPolicy: { policy: "same-origin" },
      strictTransportSecurity: isHttps,
    });
  const own = policy(["'self'"]);
  const queuesView = policy(["'self'", "'unsafe-inline'"]);
  return (req, res, next) => {
    const isQueuesView = req.path === QUEUES_PATH || req.path.startsWith(`${QUEUES_PATH}/`);
    (isQueuesView ? queuesView : own)(req, res, next);
  };
}

/** A person gets a page, a program the problem itself. */
function pageProblems(logger: Logger): ErrorRequestHandler {
  return (error: unknown, req, res, next) => {
    if (res.headersSent || !isPage(req)) {
      next(error);
      return;
    }
    logServerError(logger, res, error);
    const { problem, headers } = problemOf(error);
    res.set(headers);
    sendPage(res, problemPage(problem.title, problem.detail), problem.status);
  };
}
