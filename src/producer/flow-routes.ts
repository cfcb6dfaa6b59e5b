/** Flows over HTTP: check, start, look at, cancel a node, answer a gate. */
import express, { type Request, type Response } from "express";
import { z } from "zod";
import { InvalidInputError, NotFoundError, PolicyError } from "../contract/errors.ts";
import { planOf } from "../contract/flow-plan.ts";
import type { RuleFault } from "../contract/flow-policy.ts";
import { resolveInputs } from "../contract/flow-inputs.ts";
import { oneOf } from "../contract/schema-faults.ts";
import type { RunRecord } from "../contract/run-record.ts";
import { planFlowDryRun } from "../platform/flow/dry-run.ts";
import { policyFaults } from "../platform/flow/flow-policy-gate.ts";
import { planHash } from "../platform/flow/plan-hash.ts";
import { profilesOf, type FlowProfiles } from "../contract/flow-profiles.ts";
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
  resumeRequest,
  type FlowBody,
} from "./flow/flow-requests.ts";
import { rulesForPlans } from "./planner/check-plan.ts";
import { answer, answerRun, expectJson, idOf, type RouteDeps } from "./route-parts.ts";
import { startOnce } from "./start-once.ts";

/** The largest body that holds a flow. */
const MAX_BODY_BYTES = 8 * 1024 * 1024;
const MAX_ANSWER_BYTES = 128 * 1024;
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
      ...{ method: "post", path: "/v1/runs/:id/resume", permission: "operate" },
      before: [expectJson, express.json({ limit: MAX_ANSWER_BYTES })],
      handler: (req, res) => resume(deps, req, res),
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
  const { flow, inputs, isPlanned } = await flowOfBody(deps, body);
  const traceId = requestTraceId(res);
  const profiles = profilesOf(flow, deps.profiles);
  requireAllowed(deps, { flow, inputs }, { output: body.output, profiles, traceId, isPlanned });
  const agents = agentsOf(flow, deps, deps.programPath);
  if (body.dryRun) {
    const dry = planFlowDryRun({ flow, inputs, refusals: [], binaryOf: (name) => name, agents });
    answer(res, 200, { dryRun: true, ...dry, inputs, plan: planOf(flow) });
    return;
  }
  const more = { traceId, profiles, ...(body.base !== undefined && { base: body.base }) };
  const { run, created } = await startOnce(deps, maxWaiting, req, (key) =>
    deps.client.flows.runChecked(flow, { inputs, agents, folder: body.output, ...more, ...key }),
  );
  if (created && body.plan !== undefined) {
    const { plan: sha256, approvedBy } = body;
    deps.logger.info({ audit: true, traceId, runId: run.id, sha256, approvedBy }, "plan approved over the intake");
  }
  answerRun(res, created ? 201 : 200, run);
}

interface FoundFlow extends FlowBody {
  /** A planner made it: what nobody has allowed in so many words is closed. */
  readonly isPlanned: boolean;
}

async function flowOfBody(
  { store, gate }: RouteDeps,
  { flow: written, plan: sha256, approvedBy, files, inputs }: z.output<typeof flowRequest>,
): Promise<FoundFlow> {
  if ((written === undefined) === (sha256 === undefined)) {
    const found = written === undefined ? "neither" : "both";
    throw new InvalidInputError("request", [{ where: "flow", expected: "a flow, or the hash of a plan", found }]);
  }
  if (written !== undefined) return { ...parseFlow({ flow: written, files, inputs }), isPlanned: false };
  const kept = await store.plans.get(sha256 ?? "");
  if (kept === undefined) throw new NotFoundError("plan", sha256 ?? "");
  const { plan, origin } = kept;
  if (origin !== null && gate.allow.binaries === undefined) {
    const expected = 'a list of the programs that planned flows may run, or "any"';
    throw new PolicyError([{ where: "allow.binaries", expected, found: "nothing" }]);
  }
  if (origin !== null && approvedBy === undefined) {
    const expected = "the name of who approves what a planner made";
    throw new InvalidInputError("request", [{ where: "approvedBy", expected, found: "nothing" }]);
  }
  return { ...parseFlow({ flow: plan.flow, files: { ...plan.files }, inputs }), isPlanned: origin !== null };
}

async function resume(deps: RouteDeps, req: Request, res: Response): Promise<void> {
  const { from, inputs: given } = parseBody(resumeRequest, req.body ?? {}, "request");
  const before = await flowOf(deps, idOf(req));
  const { flows } = deps.client;
  const kept = await flows.load(before.id);
  const unknown = from.flatMap((id, at) =>
    kept.flow.byId.has(id)
      ? []
      : [{ where: `from[${at}]`, expected: oneOf([...kept.flow.byId.keys()], id), found: JSON.stringify(id) }],
  );
  const resolved = resolveInputs(kept.flow.document, { ...kept.inputs, ...given });
  const faulty =
    resolved.kind === "faulty" ? resolved.faults.map((fault) => ({ ...fault, where: `inputs.${fault.where}` })) : [];
  if (resolved.kind === "faulty" || unknown.length > 0) throw new InvalidInputError("request", [...unknown, ...faulty]);
  const inputs = resolved.values;
  const isPlanned = (await deps.store.plans.get(before.spec.flow?.planSha256 ?? ""))?.origin != null;
  const { folder: output, profiles = {} } = kept;
  requireAllowed(deps, { flow: kept.flow, inputs }, { output, profiles, traceId: requestTraceId(res), isPlanned });
  answerRun(res, 202, await flows.resume(before, { from, inputs }));
}

interface Asked {
  readonly output: string;
  readonly profiles: FlowProfiles;
  readonly traceId: string;
  readonly isPlanned: boolean;
}

/** Before anything is stored. @throws {RequestError} 403, naming each rule and its place in the body */
function requireAllowed(
  { gate, logger, metrics }: RouteDeps,
  { flow, inputs }: FlowBody,
  { output, profiles, traceId, isPlanned }: Asked,
): void {
  const writes = gate.writeFault(output);
  const rules = isPlanned ? rulesForPlans(gate.allow) : gate.allow;
  const errors = [
    ...policyFaults(flow, rules, { inputs, runs: output, profiles }).map(refusalOf),
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
  const errors = policyFaults(flow, deps.gate.allow, { inputs, profiles: profilesOf(flow, deps.profiles) }).map(
    refusalOf,
  );
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
