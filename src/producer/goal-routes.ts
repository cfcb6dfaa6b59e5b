/** Goals over HTTP: a planner makes a plan, which is kept; running it is a request of its own, by its hash. */
import express, { type Request, type Response } from "express";
import type { Config } from "../contract/config.ts";
import { InvalidInputError, NotFoundError, PlannerUnavailableError, PlanRefusedError } from "../contract/errors.ts";
import { planOf } from "../contract/flow-plan.ts";
import type { PlanBudget } from "../contract/planners.ts";
import type { StoredPlan } from "../contract/stored-plan.ts";
import type { Clock } from "../platform/clock.ts";
import { RequestError } from "../platform/http/problem.ts";
import { requestTraceId } from "../platform/http/request-context.ts";
import { originOf } from "../platform/plan-file.ts";
import type { Route } from "../platform/http/route-table.ts";
import { goalRequest, parseBody } from "./flow/flow-requests.ts";
import { askPlanner } from "./planner/ask-planner.ts";
import type { PlannerDeps } from "./planner/open-planner.ts";
import { choosePlanner } from "./planner/open-planner.ts";
import type { PlanOutcome } from "./planner/plan-goal.ts";
import { answer, expectJson, idOf, type RouteDeps } from "./route-parts.ts";

/** What planning needs beside what all routes need. */
export interface GoalDeps extends RouteDeps {
  readonly planners: Config["planners"];
  /** Of the intake's process: where keys of planners are. */
  readonly env: PlannerDeps["env"];
  readonly clock: Clock;
}

const MAX_BODY_BYTES = 128 * 1024;
/** Each costs money and holds a connection. */
const MAX_AT_ONCE = 4;
const BUSY_RETRY_SECONDS = 15;

/** The routes of goals and plans. */
export function goalRoutes(deps: GoalDeps): Route[] {
  let open = 0;
  return [
    {
      ...{ method: "post", path: "/v1/goals", permission: "operate" },
      before: [expectJson, express.json({ limit: MAX_BODY_BYTES })],
      handler: async (req, res) => {
        if (open >= MAX_AT_ONCE) throw busy();
        open += 1;
        try {
          await planForGoal(deps, req, res);
        } finally {
          open -= 1;
        }
      },
    },
    {
      ...{ method: "get", path: "/v1/plans/:hash", permission: "view" },
      handler: async (req, res) => {
        const kept = await deps.store.plans.get(idOf(req, "hash"));
        if (kept === undefined) throw new NotFoundError("plan", idOf(req, "hash"));
        answer(res, 200, kept);
      },
    },
  ];
}

function busy(): RequestError {
  const headers = { "Retry-After": String(BUSY_RETRY_SECONDS) };
  return new RequestError(429, `expected fewer than ${MAX_AT_ONCE} goals that are planned at a time`, {
    code: "ERR_BACKLOG_FULL",
    headers,
  });
}

async function planForGoal(deps: GoalDeps, req: Request, res: Response): Promise<void> {
  const { goal, planner: asked, budget } = parseBody(goalRequest, req.body, "request");
  const { name, settings } = choosePlanner(deps.planners, asked, "planner");
  const choice = { name, settings: { ...settings, budget: lowered(settings.budget, budget) } };
  const gone = new AbortController();
  res.once("close", () => {
    gone.abort(new Error("the caller has gone"));
  });
  const { allow } = deps.gate;
  const asking = { env: deps.env, askModel: refuseModel, clock: deps.clock, onEvent: () => undefined };
  const { profiles, agents, programPath } = deps;
  const known = { agents, programPath };
  const outcome = await askPlanner({ goal, choice, allow, profiles, known }, asking, gone.signal);
  const { plan, flow } = accepted(outcome);
  const { graphSha256: sha256, spent } = plan;
  const origin = originOf(plan);
  const kept = { sha256, plan: planOf(flow), origin };
  await deps.store.plans.keep(kept, deps.clock.nowMs());
  deps.logger.info({ audit: true, traceId: requestTraceId(res), planner: name, sha256, spent }, "goal planned");
  res.location(`/v1/plans/${sha256}`);
  answer(res, 201, kept);
}

/** Callers may hold a planner tighter than the operator does, and not the other way. @throws {InvalidInputError} */
function lowered(
  configured: PlanBudget,
  asked: Readonly<Partial<Record<"calls" | "tokens" | "usd", number | undefined>>>,
): PlanBudget {
  const names = ["calls", "tokens", "usd"] as const;
  const faults = names.flatMap((name) => {
    const [limit, amount] = [configured[name], asked[name]];
    if (limit === undefined || amount === undefined || amount <= limit) return [];
    return [
      { where: `budget.${name}`, expected: `${limit} at most, as the configuration says`, found: String(amount) },
    ];
  });
  if (faults.length > 0) throw new InvalidInputError("request", faults);
  const { calls, tokens, usd } = asked;
  return {
    ...configured,
    ...(calls !== undefined && { calls }),
    ...(tokens !== undefined && { tokens }),
    ...(usd !== undefined && { usd }),
  };
}

/** @throws {PlanRefusedError} {PlannerUnavailableError} when there is no plan */
function accepted(outcome: PlanOutcome): { readonly plan: StoredPlan; readonly flow: Parameters<typeof planOf>[0] } {
  switch (outcome.kind) {
    case "accepted":
      return outcome;
    case "declined":
      throw new PlanRefusedError([{ where: "goal", expected: "a goal that can be reached", found: outcome.why }]);
    case "stopped":
      if (outcome.cause === "unavailable") throw new PlannerUnavailableError(outcome.faults);
      throw new PlanRefusedError(outcome.faults);
  }
}

/** A model of the cluster is asked by a run of its own, in a folder of whoever asks. */
function refuseModel(): Promise<never> {
  const fault = {
    where: "planner",
    expected: "a planner of another kind",
    found: "a model of the cluster, which the command line asks",
  };
  return Promise.reject(new InvalidInputError("request", [fault]));
}
