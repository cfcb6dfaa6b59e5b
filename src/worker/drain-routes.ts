/** `POST /drain`, `GET /drain` and `DELETE /drain` of a worker's operations port: for preStop hooks, and for people beside it. */
import { InvalidInputError } from "../contract/errors.ts";
import type { Clock } from "../platform/clock.ts";
import type { OpsAnswer, OpsRoute } from "../platform/ops-server.ts";
import type { Drain } from "./drain.ts";

const MAX_SECONDS = 86_400;

/** `?wait=` seconds for an answer when drained, `?grace=` seconds after which jobs are handed back. */
export function drainRoutes(drain: Drain, { clock, graceMs }: { clock: Clock; graceMs: number }): readonly OpsRoute[] {
  const told = (): OpsAnswer => {
    const { progress } = drain;
    return { status: progress.state === "draining" ? 202 : 200, body: progress };
  };
  return [
    { method: "GET", path: "/drain", answer: () => Promise.resolve(told()) },
    {
      method: "POST",
      path: "/drain",
      answer: async (query) => {
        const waitMs = secondsOf(query, "wait", 0) * 1_000;
        const drained = drain.begin(secondsOf(query, "grace", graceMs / 1_000) * 1_000);
        const late = new AbortController();
        // What ends the wait is either of the two; progress says which.
        await Promise.race([drained, clock.sleep(waitMs, late.signal).catch(() => undefined)]);
        late.abort();
        return told();
      },
    },
    {
      method: "DELETE",
      path: "/drain",
      answer: () => {
        drain.undo();
        return Promise.resolve(told());
      },
    },
  ];
}

/** @throws {InvalidInputError} for what is no number of seconds */
function secondsOf(query: URLSearchParams, name: string, fallback: number): number {
  const text = query.get(name);
  if (text === null) return fallback;
  const seconds = Number(text);
  if (/^\d+(?:\.\d+)?$/.test(text) && seconds <= MAX_SECONDS) return seconds;
  throw new InvalidInputError("query", [
    { where: name, expected: `seconds from 0 to ${MAX_SECONDS}`, found: JSON.stringify(text) },
  ]);
}
