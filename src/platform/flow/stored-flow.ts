/** A flow as the store keeps it with its run, and as its state is made of it. */
import { keptAgent, taskMessage, type KeptAgent, type TaskMessage } from "../../contract/agents.ts";
import { z } from "zod";
import { InfrastructureError, InvalidInputError } from "../../contract/errors.ts";
import { checkFlow, type CheckedFlow } from "../../contract/flow-check.ts";
import type { FlowPlan } from "../../contract/flow-plan.ts";
import type { FlowProfiles } from "../../contract/flow-profiles.ts";
import type { NestedFlow, PlannedNode } from "../../contract/flow-run.ts";
import { textsOf } from "../../contract/flow-references.ts";
import type { FlowNode } from "../../contract/flows.ts";
import { profileSchema } from "../../contract/profiles.ts";
import type { FlowAbout } from "./flow-state.ts";
import { nodesNamedIn } from "./named-nodes.ts";
import { planHash } from "./plan-hash.ts";

/** What a flow is run with beside its plan. */
export interface FlowSetting {
  readonly inputs: Readonly<Record<string, string | number | boolean>>;
  /** The folder of the run, absolute. */
  readonly folder: string;
  /** What relative paths of the flow are relative to, absolute. */
  readonly base: string;
  /** Absolute paths of binaries that the flow names without one. */
  readonly binaries: Readonly<Record<string, string>>;
  /** Agent programs, by name. */
  readonly agents: Readonly<Record<string, KeptAgent>>;
  /** What is declared of the profiles that its nodes name. */
  readonly profiles?: FlowProfiles | undefined;
  /** For measuring what edges cost: no command is started. */
  readonly isNoop?: boolean | undefined;
  /** Nodes that say nothing of the network have none: who started it may not have it. */
  readonly isOffline?: boolean | undefined;
  /** Of the agent that started it: what its processes are told, and held to where they are agents. */
  readonly task?: TaskMessage | undefined;
  /** How often a node may start that writes nothing of it, so that limits hold. */
  readonly mostStarts?: number | undefined;
}

export interface StoredFlow extends FlowSetting {
  readonly plan: FlowPlan;
}

const setting = z.object({
  inputs: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  folder: z.string(),
  base: z.string(),
  binaries: z.record(z.string(), z.string()),
  agents: z.record(z.string(), keptAgent),
  profiles: z.record(z.string(), profileSchema).optional(),
  isNoop: z.boolean().optional(),
  isOffline: z.boolean().optional(),
  task: taskMessage.optional(),
  mostStarts: z.int().positive().optional(),
  plan: z.object({ flow: z.unknown(), files: z.record(z.string(), z.unknown()) }),
});

/** Reads what the store has of a flow. @throws {InvalidInputError} when it is none that this version knows */
export function parseStoredFlow(json: string): FlowSetting & { readonly flow: CheckedFlow } {
  const { plan, ...rest } = setting.parse(JSON.parse(json));
  const check = checkFlow(plan.flow, plan.files);
  if (check.kind === "faulty") throw new InvalidInputError("stored flow", check.faults);
  return { ...rest, flow: check.flow };
}

/** The state that a flow begins with. `fresh`: nodes to be run anew although what they made may still hold. */
export function beginningOf(
  flow: CheckedFlow,
  { inputs, folder, base, binaries, agents, profiles = {}, isNoop, isOffline, task, mostStarts }: FlowSetting,
  fresh: readonly string[] = [],
): { readonly about: FlowAbout; readonly nodes: readonly PlannedNode[] } {
  const { name, env, failFast, timeoutMs, planSha256, outputs, nodes } = nestedOf(flow);
  const shared = { name, env, failFast, planSha256, folder, base, binaries, agents, inputs, fresh };
  const more = {
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(outputs !== undefined && { outputs }),
    ...(Object.keys(profiles).length > 0 && { profiles }),
    ...(isNoop === true && { isNoop }),
    ...(isOffline === true && { isOffline }),
    ...(task !== undefined && { task }),
    ...(mostStarts !== undefined && { mostStarts }),
  };
  return { about: { ...shared, ...more }, nodes };
}

/** What a flow is begun with wherever it stands: alone, or in another one. */
export function nestedOf(flow: CheckedFlow): NestedFlow {
  const { document, nested, order } = flow;
  const defaults = Object.entries(document.inputs).flatMap(([name, input]) =>
    input.default === undefined ? [] : [[name, input.default] as const],
  );
  const places = new Map(document.nodes.map(({ id }, index) => [id, index]));
  return {
    ...{ name: document.name, env: document.env, failFast: document.fail_fast, planSha256: planHash(flow) },
    ...(document.timeout_seconds !== undefined && { timeoutMs: Math.ceil(document.timeout_seconds * 1_000) }),
    ...(document.outputs !== undefined && { outputs: document.outputs }),
    inputs: Object.fromEntries(defaults),
    inputTypes: Object.fromEntries(Object.entries(document.inputs).map(([name, { type }]) => [name, type])),
    nodes: order.map((node): PlannedNode => {
      const below = nested.get(node.id);
      const index = places.get(node.id) ?? 0;
      return { node, index, reads: readsOf(node), ...(below !== undefined && { nested: nestedOf(below) }) };
    }),
  };
}

/** The nodes that a node needs, and those that its expressions name. */
function readsOf(node: FlowNode): string[] {
  return [...new Set([...node.needs.map((edge) => edge.node), ...nodesNamedIn(textsOf(node))])];
}

/** The only page of the input of a flow's run. @throws {InfrastructureError} when the store has none */
export async function loadStoredFlow(
  pages: AsyncIterable<readonly string[]>,
  runId: string,
): Promise<FlowSetting & { readonly flow: CheckedFlow }> {
  return parseStoredFlow(await storedText(pages, runId));
}

/** The plan alone, as it was kept when the flow was checked. @throws {InfrastructureError} when the store has none */
export async function loadStoredPlan(pages: AsyncIterable<readonly string[]>, runId: string): Promise<FlowPlan> {
  return setting.parse(JSON.parse(await storedText(pages, runId))).plan as FlowPlan;
}

async function storedText(pages: AsyncIterable<readonly string[]>, runId: string): Promise<string> {
  for await (const [json] of pages) if (json !== undefined) return json;
  throw new InfrastructureError(`store: expected the plan of flow ${runId}, found none`);
}
