/** What the routes of the intake have in common. */
import type { Request, RequestHandler, Response } from "express";
import type { Config } from "../contract/config.ts";
import type { RunRecord } from "../contract/run-record.ts";
import type { ScalingSignal } from "../contract/scaling.ts";
import { RequestError } from "../platform/http/problem.ts";
import type { Logger } from "../platform/logger.ts";
import type { Metrics } from "../platform/metrics.ts";
import type { PolicyGate } from "../platform/policy-gate.ts";
import type { Store } from "../store/store.ts";
import type { ClientPort } from "./client-port.ts";
import type { IdempotencyKeys } from "./idempotency.ts";

export interface RouteDeps {
  readonly client: ClientPort;
  readonly store: Store;
  readonly idempotency: IdempotencyKeys;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly gate: PolicyGate;
  /** Programs that `agent` nodes of flows may name. */
  readonly agents: Config["agents"];
  /** What nodes of flows get of the profiles that they name. */
  readonly profiles: Config["profiles"];
  /** The absolute path of a program of the configuration. @throws {InvalidInputError} when it is not there */
  readonly programPath: (name: string) => string;
  /** How many workers are wanted, as the leader last decided. */
  scaling(): Promise<ScalingSignal | undefined>;
}

/** Refuses bodies of other types. */
export const expectJson: RequestHandler = (req, _res, next) => {
  // `is` answers null for a request without a body; that is told as what it is, not as a wrong type.
  if (req.is("application/json") !== false) {
    next();
    return;
  }
  const found = req.get("content-type") ?? "none";
  next(new RequestError(415, `expected application/json, found ${found}`, { code: "ERR_MEDIA_TYPE" }));
};

/** A part of a path that the route names. */
export function idOf(req: Request, name = "id"): string {
  const id = req.params[name];
  return typeof id === "string" ? id : "";
}

/** Answers with JSON that nobody keeps. */
export function answer(res: Response, status: number, body: unknown): void {
  res.status(status).set("Cache-Control", "no-store").json(body);
}

/** Answers with a run and says where it is. */
export function answerRun(
  res: Response,
  status: number,
  run: RunRecord & { readonly warnings?: readonly string[] },
): void {
  res.location(`/v1/runs/${encodeURIComponent(run.id)}`);
  answer(res, status, run);
}
