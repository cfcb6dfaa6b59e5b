/** Flows over HTTP: check, start, look at, cancel a node, answer a gate. */
import express, { type Request, type Response } from "express";
import { z } from "zod";
import { NotFoundError } from "../contract/errors.ts";
import { planOf } from "../contract/flow-plan.ts";
import type { RuleFault } from "../contract/flow-policy.ts";
import type { RunRecord } from "../contract/run-record.ts";
import { planFlowDryRun } from "../platform/flow/dry-run.ts";
import { policyFaults } from "../platform/flow/flow-policy-gate.ts";
import { planHash } from "../platform/flow/plan-hash.ts";
import { agentsOf } from "../platform/flow/programs.ts";
import { requestTraceId } from "../platform/http/request-context.ts";
import { jsonPointer, RequestError } from "../platform/http/problem.ts";
import type { Route } from "../platform/http/route-table.ts";
import {
  checkWritten,
  flowCheckRequest,
  flowPlace,
  flowRequest,
  parseBody,
  parseFlow,
  type FlowBody,
} from "./flow/flow-requests.ts";
import { answer, answerRun, expectJson, idOf, type RouteDeps } from "./route-parts.ts";
import { startOnce } from "./start-once.ts";

/** The largest body that holds a flow. */
const MAX_BODY_BYTES = 8 * 1024 * 1024;
const MAX_ANSWER_BYTES = 64 * 1024;
/** More would hide the first ones. */
const MAX_REFUSALS = 100;

const word = z.string().trim().min(1).max(200);
/** What a person says at a gate. */
export const gateAnswerRequest = z.strictObject({
  approved: z.boolean().describe("true lets the flow go on, false fails the gate"),
  by: word.describe("who answers; told in the report"),
  note: z.string().max(2_000).optional().describe("why"),
});
/** Why a node is cancelled, as a parameter. */
export const cancelQuery = z.strictObject({ reason: word.default("cancelled over the HTTP intake") });

/** Every route that is about flows. */
export function flowRoutes(deps: RouteDeps, maxWaiting: number): Route[] {
  const { client } = deps;
  const before = [expectJson, express.json({ limit: MAX_BODY_BYTES })];
  return [
    {
      ...{ method: "post", path: "/v1/flows", permission: "operate", before },
      handler: (req, res) => createFlow(deps, maxWaiting, req, res),
    },
    {
      ...{ method: "post", path: "/v1/flows/validate", permission: "view", before },
      handler: (req, res) => {
        answer(res, 200, validate(deps, req.body));
      },
    },
    {
      ...{ method: "get", path: "/v1/runs/:id/flow", permission: "view" },
      handler: async (req, res) => {
        const run = await flowOf(deps, idOf(req));
        const [view, plan] = await Promise.all([client.flows.view(run), client.flows.plan(run)]);
        answer(res, 200, { ...view, plan });
      },
    },
    {
      ...{ method: "get", path: "/v1/runs/:id/nodes/:node", permission: "view" },
      handler: async (req, res) => {
        answer(res, 200, await client.flows.node(await flowOf(deps, idOf(req)), nodeOf(req)));
      },
    },
    {
      ...{ method: "delete", path: "/v1/runs/:id/nodes/:node", permission: "operate" },
      handler: (req, res) => cancelNode(deps, req, res),
    },
    {
      ...{ method: "get", path: "/v1/gates", permission: "view" },
      handler: async (_req, res) => {
        answer(res, 200, { gates: await client.flows.openGates() });
      },
    },
    {
      ...{ method: "post", path: "/v1/gates/:run/:node", permission: "operate" },
      before: [expectJson, express.json({ limit: MAX_ANSWER_BYTES })],
      handler: (req, res) => answerGate(deps, req, res),
    },
  ];
}

async function createFlow(deps: RouteDeps, maxWaiting: number, req: Request, res: Response): Promise<void> {
  const body = parseBody(flowRequest, req.body, "request");
  const { flow, inputs } = parseFlow(body);
  requireAllowed(deps, { flow, inputs }, { output: body.output, traceId: requestTraceId(res) });
  const agents = agentsOf(flow, deps, deps.programPath);
  if (body.dryRun) {
    const dry = planFlowDryRun({ flow, inputs, refusals: [], binaryOf: (name) => name });
    answer(res, 200, { dryRun: true, ...dry, inputs, plan: planOf(flow) });
    return;
  }
  const more = { traceId: requestTraceId(res), ...(body.base !== undefined && { base: body.base }) };
  const { run, created } = await startOnce(deps, maxWaiting, req, (key) =>
    deps.client.flows.runChecked(flow, { inputs, agents, folder: body.output, ...more, ...key }),
  );
  answerRun(res, created ? 201 : 200, run);
}

/** Before anything is stored. @throws {RequestError} 403, naming each rule and its place in the body */
function requireAllowed(
  { gate, logger, metrics }: RouteDeps,
  { flow, inputs }: FlowBody,
  { output, traceId }: { readonly output: string; readonly traceId: string },
): void {
  const writes = gate.writeFault(output);
  const errors = [
    ...policyFaults(flow, gate.allow, { inputs }).map(refusalOf),
    ...(writes === undefined
      ? []
      : [{ pointer: "/output", detail: `expected ${writes.expected}, found ${writes.found}` }]),
  ];
  if (errors.length === 0) return;
  metrics.counter("headroom_intake_refused_total").inc({ reason: "policy" });
  logger.warn({ audit: true, traceId, faults: errors.length, flow: flow.document.name }, "flow refused by policy");
  const detail = `the flow asks for ${errors.length === 1 ? "what is" : `${errors.length} things that are`} not allowed here`;
  throw new RequestError(403, detail, { code: "ERR_POLICY", errors: errors.slice(0, MAX_REFUSALS) });
}

function refusalOf({ rule, expected, found, ...place }: RuleFault) {
  return { pointer: jsonPointer(flowPlace(place)), detail: `expected ${expected}, found ${found}`, rule };
}

function validate(deps: RouteDeps, written: unknown): object {
  const checked = checkWritten(parseBody(flowCheckRequest, written, "request"));
  if (checked.kind === "faulty") return { valid: false, errors: checked.errors };
  const { flow, inputs } = checked;
  const errors = policyFaults(flow, deps.gate.allow, { inputs }).map(refusalOf);
  const { nodeCount, depth, width } = flow;
  const facts = { hash: planHash(flow), nodes: nodeCount, depth, width };
  return { valid: errors.length === 0, errors: errors.slice(0, MAX_REFUSALS), ...facts };
}

async function cancelNode(deps: RouteDeps, req: Request, res: Response): Promise<void> {
  const { reason } = parseBody(cancelQuery, req.query, "query");
  const [run, path] = [await flowOf(deps, idOf(req)), nodeOf(req)];
  await deps.client.flows.cancelNode(run, path, reason);
  deps.logger.info({ audit: true, runId: run.id, node: path, reason }, "node cancelled over the intake");
  answer(res, 202, await deps.client.flows.node(run, path));
}

async function answerGate(deps: RouteDeps, req: Request, res: Response): Promise<void> {
  const { approved, by, note = null } = parseBody(gateAnswerRequest, req.body, "answer");
  const [run, path] = [await flowOf(deps, idOf(req, "run")), nodeOf(req)];
  const given = { isApproved: approved, by, note, atMs: Date.now() };
  await deps.client.flows.answer(run, path, given);
  deps.logger.info({ audit: true, runId: run.id, gate: path, approved, by }, "gate answered over the intake");
  answer(res, 200, { runId: run.id, node: path, approved, by, note, atMs: given.atMs });
}

/** @throws {NotFoundError} when there is no such run, or it is no flow */
async function flowOf({ client }: RouteDeps, runId: string): Promise<RunRecord> {
  const run = await client.status(runId);
  if (run.spec.executor === "flow") return run;
  throw new NotFoundError("flow", runId);
}

function nodeOf(req: Request): string {
  return idOf(req, "node");
}
