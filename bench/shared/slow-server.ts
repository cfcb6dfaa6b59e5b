/** A server of a fixed capacity on loopback, which too many requests at a time make slower. */
import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface SlowServer extends AsyncDisposable {
  readonly url: string;
}

/** Share of its capacity that each request beyond the knee costs it, and what is left at least. */
const LOSS = 0.02;
const LEAST = 0.5;

/** Requests that are served at a rate of one per `serviceMs`, for `inFlight` of them at a time. */
export function servedAtATime(inFlight: number, knee: number): number {
  return inFlight <= knee ? inFlight : knee * Math.max(LEAST, 1 - LOSS * (inFlight - knee));
}

/**
 * Answers each request after `serviceMs` while at most `knee` are there. Beyond that all share what it can do, and that
 * gets less with each one more.
 */
export async function startSlowServer(knee: number, serviceMs: number): Promise<SlowServer> {
  const server = createServer();
  // What each request has been served so far, in ms; all get the same share, so the first that came is done first.
  let servedMs = 0;
  let atMs = performance.now();
  const waiting: { readonly response: ServerResponse; readonly doneAtMs: number }[] = [];
  let timer: NodeJS.Timeout | undefined;
  const share = () => servedAtATime(waiting.length, knee) / Math.max(1, waiting.length);
  const advance = () => {
    const nowMs = performance.now();
    servedMs += (nowMs - atMs) * share();
    atMs = nowMs;
    for (let [first] = waiting; first !== undefined && first.doneAtMs <= servedMs; [first] = waiting) {
      first.response.end("done\n");
      waiting.shift();
    }
  };
  const schedule = () => {
    clearTimeout(timer);
    const [first] = waiting;
    if (first === undefined) return;
    timer = setTimeout(
      () => {
        advance();
        schedule();
      },
      Math.max(1, (first.doneAtMs - servedMs) / share()),
    );
  };
  server.on("request", (_request, response) => {
    advance();
    waiting.push({ response, doneAtMs: servedMs + serviceMs });
    schedule();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    [Symbol.asyncDispose]: async () => {
      clearTimeout(timer);
      await close(server);
    },
  };
}

async function close(server: Server): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
}
