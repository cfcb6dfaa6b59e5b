/** A request handler on a port, as a Service. */
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { InfrastructureError, messageOf } from "../../contract/errors.ts";
import type { Service } from "../lifecycle.ts";

export interface ListenConfig {
  readonly host: string;
  /** 0 takes a free one; `url` says which. */
  readonly port: number;
}

/** How long an idle client may take to send its headers, or its request in all. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;

/** Listens from `start` to `stop`. Stopping lets requests end until the deadline, then cuts them. */
export class HttpService implements Service {
  readonly #listener: RequestListener;
  readonly #config: ListenConfig;
  #server: Server | undefined;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(listener: RequestListener, config: ListenConfig) {
    this.#listener = listener;
    this.#config = config;
  }

  /** Where it listens. @throws before `start` */
  get url(): string {
    const address = this.#server?.address() as AddressInfo | null | undefined;
    if (address == null) throw new TypeError("expected a started server, found one that does not listen");
    const host = address.family === "IPv6" ? `[${address.address}]` : address.address;
    return `http://${host}:${address.port}`;
  }

  start(): Promise<void> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  stop(deadline: AbortSignal = AbortSignal.timeout(10_000)): Promise<void> {
    this.#stopping ??= this.#stop(deadline);
    return this.#stopping;
  }

  async #start(): Promise<void> {
    const server = createServer(
      { headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS },
      this.#listener,
    );
    this.#server = server;
    const { host, port } = this.#config;
    try {
      server.listen(port, host);
      await once(server, "listening");
    } catch (error) {
      const where = `${host}:${port}`;
      throw new InfrastructureError(`expected to listen on ${where}, found ${messageOf(error)}`, { cause: error });
    }
  }

  async #stop(deadline: AbortSignal): Promise<void> {
    await this.#starting?.catch(() => undefined); // A failed start was told to its caller.
    const server = this.#server;
    if (!server?.listening) return;
    const closed = once(server, "close");
    const cut = () => {
      server.closeAllConnections();
    };
    deadline.addEventListener("abort", cut, { once: true });
    server.close();
    server.closeIdleConnections();
    if (deadline.aborted) cut();
    await closed;
    deadline.removeEventListener("abort", cut);
  }
}
