/** `/livez`, `/readyz` and `/metrics` on the board's own port. */
import type { Response } from "express";
import { messageOf } from "../contract/errors.ts";
import type { Route } from "../platform/http/route-table.ts";
import type { Metrics } from "../platform/metrics.ts";
import type { Check, Checks } from "../platform/ops-server.ts";

const CHECK_TIMEOUT_MS = 2_000;

/** Liveness and readiness are open to all and tell nothing but names; metrics ask for the right to read. */
export function healthRoutes(metrics: Metrics, readiness: Checks): Route[] {
  return [
    {
      method: "get",
      path: "/livez",
      permission: "open",
      handler: (_req, res) => {
        answer(res, { ok: true });
      },
    },
    {
      method: "get",
      path: "/readyz",
      permission: "open",
      handler: async (_req, res) => {
        const named = await Promise.all(
          Object.entries(readiness).map(async ([name, check]) => [name, await isWell(check)] as const),
        );
        answer(res, { ok: named.every(([, ok]) => ok), checks: Object.fromEntries(named) });
      },
    },
    {
      method: "get",
      path: "/metrics",
      permission: "view",
      handler: async (_req, res) => {
        res
          .set("Cache-Control", "no-store")
          .type(metrics.contentType)
          .send(await metrics.expose());
      },
    },
  ];
}

async function isWell(check: Check): Promise<boolean> {
  const signal = AbortSignal.timeout(CHECK_TIMEOUT_MS);
  const late = new Promise<string>((resolve) => {
    signal.addEventListener("abort", () => {
      resolve("late");
    });
  });
  // Why it is not well is in the log of who found out; the open endpoint says only that it is not.
  const result = await Promise.race([check(signal).then(() => "well", messageOf), late]);
  return result === "well";
}

function answer(
  res: Response,
  body: { readonly ok: boolean; readonly checks?: Readonly<Record<string, boolean>> },
): void {
  res
    .status(body.ok ? 200 : 503)
    .set("Cache-Control", "no-store")
    .json(body);
}
