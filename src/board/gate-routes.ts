/** The answers that people give at gates, on the page of a run. */
import express, { type Request, type Response } from "express";
import type { Redis } from "ioredis";
import { z } from "zod";
import { ConflictError, NotFoundError } from "../contract/errors.ts";
import { answerGate } from "../platform/flow/gates.ts";
import { RequestError } from "../platform/http/problem.ts";
import type { Route } from "../platform/http/route-table.ts";
import type { JobQueues } from "../platform/job-queues.ts";
import type { Logger } from "../platform/logger.ts";
import { paramOf } from "./api/routes.ts";
import { problemPage } from "./page/login-page.ts";
import { sendPage } from "./page/routes.ts";
import { runHref } from "./page/words.ts";
import type { RunReader } from "./run-reader.ts";

export interface GateRouteDeps {
  readonly reader: RunReader;
  readonly redis: Redis;
  readonly queues: JobQueues;
  readonly logger: Logger;
  /** The result of `keyPrefix`. */
  readonly prefix: string;
}

const form = express.urlencoded({ extended: false, limit: 16_384, parameterLimit: 10 });
const answerForm = z.object({
  node: z.string().min(1).max(200),
  by: z.string().trim().min(1).max(200),
  note: z.string().trim().max(2_000).default(""),
  answer: z.enum(["approve", "refuse"]),
});

/** The route of the forms. */
export function gateRoutes(deps: GateRouteDeps): Route[] {
  return [
    {
      method: "post",
      path: "/runs/:id/gates",
      permission: "operate",
      before: [form],
      handler: (req, res) => giveAnswer(deps, req, res),
    },
  ];
}

async function giveAnswer(deps: GateRouteDeps, req: Request, res: Response): Promise<void> {
  const read = answerForm.safeParse(req.body);
  if (!read.success) {
    const detail = "expected the node of a gate, an answer and a name of 200 characters at most";
    throw new RequestError(400, detail, { code: "ERR_INVALID_INPUT" });
  }
  const { node, by, note, answer } = read.data;
  const { id: runId, epoch } = await deps.reader.record(paramOf(req, "id"));
  const given = { isApproved: answer === "approve", by, note: note === "" ? null : note, atMs: deps.reader.nowMs() };
  try {
    await answerGate({ redis: deps.redis, kp: deps.prefix, queues: deps.queues }, { runId, epoch }, node, given);
  } catch (error) {
    if (!(error instanceof ConflictError || error instanceof NotFoundError)) throw error;
    // Somebody else was quicker, or the run has ended: a person is told on a page.
    const isGone = error instanceof NotFoundError;
    sendPage(res, problemPage(isGone ? "Not found" : "Answered already", error.message), isGone ? 404 : 409);
    return;
  }
  deps.logger.info({ audit: true, address: req.ip, runId, gate: node, answer, by }, "gate answered on the board");
  res.redirect(303, runHref(runId));
}
