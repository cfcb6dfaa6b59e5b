/**
 * `/livez`, `/readyz` and `/metrics` of one process, and what its parts add.
 *
 * starting: listens, alive, not ready. ready: the readiness checks decide. draining: alive, not ready. The move to
 * ready and to draining is made by the service that `readiness()` returns, which belongs at the end of the group:
 * started last, stopped first.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { HeadroomError, InfrastructureError, InvalidInputError, messageOf, NotFoundError } from "../contract/errors.ts";
import type { Service } from "./lifecycle.ts";
import type { Logger } from "./logger.ts";
import type { Metrics } from "./metrics.ts";
import { State, type Transitions } from "./state.ts";

type Phase = "starting" | "ready" | "draining";
const moves: Transitions<Phase> = { starting: ["ready", "draining"], ready: ["draining"], draining: [] };

/** Resolves when all is well, rejects with the reason when it is not. The signal ends it after its time. */
export type Check = (signal: AbortSignal) => Promise<void>;
export type Checks = Readonly<Record<string, Check>>;

export interface OpsAnswer {
  readonly status: number;
  readonly body: object;
}

/** A path that a part of the process answers beside those of every process. */
export interface OpsRoute {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  /** Errors of ours are answered by their kind. */
  answer(query: URLSearchParams): Promise<OpsAnswer>;
}

export interface OpsServerDeps {
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** What only a restart mends. Never whether Redis answers: a short outage of Redis would restart every process. */
  readonly liveness?: Checks;
  /** What says whether work may be sent here now. */
  readonly readiness?: Checks;
  readonly routes?: readonly OpsRoute[];
}

export interface OpsServerConfig {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly checkTimeoutMs?: number;
}

interface CheckResult {
  readonly ok: boolean;
  readonly reason?: string;
}

const DEFAULT_CHECK_TIMEOUT_MS = 2_000;

export class OpsServer implements Service {
  readonly #deps: OpsServerDeps;
  readonly #config: OpsServerConfig;
  readonly #phase: State<Phase>;
  readonly #server: Server;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(deps: OpsServerDeps, config: OpsServerConfig) {
    this.#deps = deps;
    this.#config = config;
    this.#phase = new State("readiness", moves, "starting", deps.logger);
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((err: unknown) => {
        deps.logger.error({ err, url: request.url }, "operations request failed");
        send(response, 500, { error: messageOf(err) });
      });
    });
  }

  /** Where it listens, as `http://host:port`. @throws {InfrastructureError} before `start`. */
  get url(): string {
    const address = this.#server.address() as AddressInfo | null;
    if (address === null) throw new InfrastructureError("expected the operations server to listen, found it stopped");
    const host = address.family === "IPv6" ? `[${address.address}]` : address.address;
    return `http://${host}:${address.port}`;
  }

  /** Marks the process ready when started, and draining when stopped. Put it last in the group. */
  readiness(): Service {
    return {
      start: () => {
        if (this.#phase.is("starting")) this.#phase.moveTo("ready");
        return Promise.resolve();
      },
      stop: () => {
        this.markDraining();
        return Promise.resolve();
      },
    };
  }

  markDraining(): void {
    if (!this.#phase.is("draining")) this.#phase.moveTo("draining");
  }

  start(): Promise<void> {
    this.#starting ??= this.#listen();
    return this.#starting;
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#close();
    return this.#stopping;
  }

  #listen(): Promise<void> {
    const { host, port } = this.#config;
    return new Promise((resolve, reject) => {
      this.#server.once("error", (error) => {
        reject(
          new InfrastructureError(`expected ${host}:${port} to be free to listen on, found: ${error.message}`, {
            cause: error,
          }),
        );
      });
      this.#server.listen(port, host, () => {
        this.#deps.logger.info({ url: this.url }, "operations server listens");
        resolve();
      });
    });
  }

  #close(): Promise<void> {
    this.markDraining();
    if (!this.#server.listening) return Promise.resolve();
    return new Promise((resolve) => {
      this.#server.close(() => {
        resolve();
      });
      // Scrapers keep their connections open; no answer of ours is worth waiting for.
      this.#server.closeAllConnections();
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname: path, searchParams } = new URL(request.url ?? "/", "http://ops");
    const here = (this.#deps.routes ?? []).filter((candidate) => candidate.path === path);
    if (!isAllowed(request, response, here)) return;
    const method = request.method === "HEAD" ? "GET" : request.method;
    const route = here.find((one) => one.method === method);
    if (route === undefined) await this.#answerOwn(response, path);
    else await this.#answerRoute(response, route, searchParams);
  }

  async #answerOwn(response: ServerResponse, path: string): Promise<void> {
    switch (path) {
      case "/livez":
        await this.#answerChecks(response, this.#deps.liveness ?? {}, true);
        return;
      case "/readyz":
        await this.#answerChecks(response, this.#deps.readiness ?? {}, this.#phase.is("ready"));
        return;
      case "/metrics":
        response.writeHead(200, { "Content-Type": this.#deps.metrics.contentType, "Cache-Control": "no-store" });
        response.end(await this.#deps.metrics.expose());
        return;
      default:
        send(response, 404, { error: `expected ${listOf(["/livez", "/readyz", "/metrics", ...this.#routePaths])}` });
    }
  }

  get #routePaths(): string[] {
    return [...new Set((this.#deps.routes ?? []).map(({ path }) => path))];
  }

  async #answerRoute(response: ServerResponse, route: OpsRoute, query: URLSearchParams): Promise<void> {
    try {
      const { status, body } = await route.answer(query);
      send(response, status, body);
    } catch (error) {
      if (!(error instanceof HeadroomError)) throw error;
      send(response, statusOf(error), { error: messageOf(error), code: error.code });
    }
  }

  async #answerChecks(response: ServerResponse, checks: Checks, isOpen: boolean): Promise<void> {
    const timeoutMs = this.#config.checkTimeoutMs ?? DEFAULT_CHECK_TIMEOUT_MS;
    const named = await Promise.all(
      Object.entries(checks).map(async ([name, check]) => [name, await runCheck(check, timeoutMs)] as const),
    );
    const isOk = isOpen && named.every(([, result]) => result.ok);
    send(response, isOk ? 200 : 503, { ok: isOk, phase: this.#phase.current, checks: Object.fromEntries(named) });
  }
}

/** Whether this path takes the request; if not, it is answered. */
function isAllowed(request: IncomingMessage, response: ServerResponse, here: readonly OpsRoute[]): boolean {
  const methods = here.length === 0 ? ["GET"] : here.map((route) => route.method);
  const allow = methods.includes("GET") ? [...methods, "HEAD"] : methods;
  if (!allow.includes(request.method ?? "")) {
    response.setHeader("Allow", allow.join(", "));
    send(response, 405, { error: `expected ${listOf(allow)}, found ${request.method ?? "none"}` });
    return false;
  }
  if (!isFromPage(request)) return true;
  send(response, 403, { error: "expected no page of a browser to ask for this" });
  return false;
}

/** Whoever reaches this port may ask for what changes something, but not by the hand of a page that somebody opened. */
function isFromPage({ method, headers }: IncomingMessage): boolean {
  if (method === "GET" || method === "HEAD") return false;
  return headers.origin !== undefined || headers["sec-fetch-site"] !== undefined;
}

function statusOf(error: HeadroomError): number {
  if (error instanceof InvalidInputError) return 400;
  return error instanceof NotFoundError ? 404 : 503;
}

/** `a, b or c`. */
function listOf(words: readonly string[]): string {
  return `${words.slice(0, -1).join(", ")} or ${words.at(-1) ?? ""}`;
}

async function runCheck(check: Check, timeoutMs: number): Promise<CheckResult> {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new Error(`expected an answer within ${timeoutMs} ms, found none`);
      controller.abort(error);
      reject(error);
    }, timeoutMs);
  });
  try {
    // A check that throws before its promise is a failed check too, not a broken endpoint.
    await Promise.race([Promise.resolve(controller.signal).then(check), late]);
    return { ok: true };
  } catch (error) {
    return { ok: false, reason: messageOf(error) };
  } finally {
    clearTimeout(timer);
  }
}

function send(response: ServerResponse, status: number, body: object): void {
  if (response.headersSent) {
    response.end();
    return;
  }
  response.writeHead(status, { "Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store" });
  response.end(`${JSON.stringify(body)}\n`);
}
