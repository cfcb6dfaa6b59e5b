/** The shapes that the HTTP intake answers with about flows, as schemas: the OpenAPI document is made from them. */
import { z } from "zod";
import { fileResult, type AttemptRecord } from "../contract/files.ts";
import { nodeStates, type FlowView, type NodeDetail, type NodeView } from "../contract/flow-view.ts";
import { edgeRules, nodeKinds } from "../contract/flows.ts";
import { runStates } from "../contract/outcomes.ts";
import { planOrigin } from "../contract/stored-plan.ts";
import type { KeptPlan } from "../store/store.ts";
import type { DryNode } from "../platform/flow/dry-run.ts";
import { count, failureClass, problemFault, timeMs } from "./responses.ts";

const nodeKind = z.enum(nodeKinds);
const needs = z.array(z.object({ node: z.string(), on: z.enum(edgeRules) }));
const sha256 = z.string();

/** The canonical form of a flow, and of the flows in it. */
const plan = z
  .object({ flow: z.record(z.string(), z.unknown()), files: z.record(z.string(), z.record(z.string(), z.unknown())) })
  .describe("canonical: the same flow has the same one, however its file was written");

const nodeView = z.object({
  path: z.string().describe("id of the node, or ID/INDEX of an instance"),
  kind: nodeKind,
  needs,
  state: z.enum(nodeStates).describe("ready waits for room, asking for the answer of a person"),
  failureClass: failureClass.nullable(),
  message: z.string().nullable(),
  startedAtMs: timeMs.nullable(),
  durationMs: z.number().nullable(),
  instances: z.object({ total: count, ended: count }).nullable().describe("of a node with a foreach"),
  childRunId: z.string().nullable().describe("the run that does its work"),
}) satisfies z.ZodType<NodeView>;

/** A flow with the state of each of its nodes. */
export const flowView = z.object({
  runId: z.string(),
  epoch: count,
  name: z.string(),
  state: z.enum(runStates),
  planSha256: sha256,
  nodes: z.array(nodeView),
  plan,
}) satisfies z.ZodType<FlowView>;

const attempt = z.looseObject({
  path: z.string(),
  epoch: count,
  attempt: count,
  atMs: timeMs,
  end: z.enum(["retried", "fenced"]),
  message: z.string().nullable(),
}) satisfies z.ZodType<Partial<AttemptRecord>>;

/** One node or instance with all that is known of it. */
export const nodeDetail = nodeView.extend({
  runId: z.string(),
  epoch: count,
  node: z.looseObject({ id: z.string(), kind: nodeKind }).describe("what the flow says of it"),
  exitCode: z.int().nullable(),
  output: z.string().nullable().describe("the artifact, or the folder of the outputs"),
  sha256: sha256.nullable(),
  file: fileResult.nullable().describe("its row among the results of the run"),
  attempts: z.array(attempt),
}) satisfies z.ZodType<Omit<NodeDetail, "node" | "attempts">>;

const dryNode = z.object({
  id: z.string().describe("with the flow nodes around it: outer/inner"),
  kind: nodeKind,
  needs,
  profile: z.string(),
  command: z.array(z.string()).nullable(),
  work: z.string(),
  conditions: z.array(z.string()),
  refusals: z.array(z.object({ rule: z.string(), where: z.string(), found: z.string() })),
  problem: z.string().nullable(),
}) satisfies z.ZodType<DryNode>;

const inputs = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));

/** What a flow would run. */
export const flowDryRun = z.object({
  dryRun: z.literal(true),
  hash: sha256.describe("what the plan is known by"),
  nodes: z.array(dryNode),
  refusals: z.array(z.unknown()),
  /** What it would come to, by name, with what is known by then. */
  outputs: z.record(z.string(), z.string()),
  inputs,
  plan,
});

/** Whether a flow could be run here. */
export const flowVerdict = z.object({
  valid: z.boolean(),
  errors: z.array(problemFault),
  hash: sha256.optional().describe("when it is a flow at all, and so are the others"),
  nodes: count.optional(),
  depth: count.optional(),
  width: count.optional(),
});

/** The gates that wait. */
export const gateList = z.object({
  gates: z.array(z.object({ runId: z.string(), name: z.string(), path: z.string(), message: z.string() })),
});

/** The answer at a gate, as it was taken. */
export const gateAnswered = z.object({
  runId: z.string(),
  node: z.string(),
  approved: z.boolean(),
  by: z.string(),
  note: z.string().nullable(),
  atMs: timeMs,
});

/** A plan that is kept. */
export const keptPlan = z.object({
  sha256: sha256.describe("what the plan is known by"),
  plan,
  origin: planOrigin.nullable().describe("of a plan that a planner made"),
}) satisfies z.ZodType<Pick<KeptPlan, "sha256" | "origin">>;
