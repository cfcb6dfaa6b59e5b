/** The operator's policy over a flow on this machine, with what is known when it is started. */
import { agentProgram, type KeptAgent } from "../../contract/agents.ts";
import type { Allow } from "../../contract/allow.ts";
import type { CheckedFlow } from "../../contract/flow-check.ts";
import { parseExpression } from "../../contract/flow-expressions.ts";
import { flowFaults, type FlowSight, type RuleFault } from "../../contract/flow-policy.ts";
import { profileOfNode, type FlowProfiles } from "../../contract/flow-profiles.ts";
import type { InputValue } from "../../contract/flow-inputs.ts";
import type { FlowNode } from "../../contract/flows.ts";
import { PolicyGate } from "../policy-gate.ts";
import { createScope, evaluateExpression } from "./expressions.ts";

export interface KnownOfFlow {
  /** The values that the flow is started with. */
  readonly inputs?: Readonly<Record<string, InputValue>> | undefined;
  /** The absolute path of a binary that is named without one, as a shell would find it. */
  readonly binaryPath?: (name: string) => string | undefined;
  /** The agent programs of the configuration, or those of a flow that has been started. */
  readonly agents?: Readonly<Record<string, KeptAgent>> | undefined;
  /** Where the folder of the run is made, absolute. */
  readonly runs?: string | undefined;
  /** What is declared of the profiles that nodes name. */
  readonly profiles?: FlowProfiles | undefined;
}

/** What is given what its profile declares; a gate takes nothing, and the nodes of a flow in it are looked at by themselves. */
const workKinds: ReadonlySet<FlowNode["kind"]> = new Set(["exec", "agent", "files", "infer"]);

/** Everything that a flow asks for and may not have here. */
export function policyFaults(flow: CheckedFlow, allow: Allow, known: KnownOfFlow = {}): RuleFault[] {
  const { inputs, binaryPath, agents = {}, runs, profiles } = known;
  const gate = new PolicyGate(allow);
  const sight: FlowSight = {
    refusal: (rule, path) => gate.pathFault(rule, rule === "binaries" ? (binaryPath?.(path) ?? path) : path),
    ...(runs !== undefined && { runs }),
    memoryOf: (node) => (workKinds.has(node.kind) ? profileOfNode(node, profiles)?.memoryBytes : undefined),
    programOf: (name) => (Object.hasOwn(agents, name) ? agentProgram(agents[name] ?? []).command[0] : undefined),
    ...(inputs === undefined ? {} : { known: (expression: string) => knownText(expression, inputs) }),
  };
  return flowFaults(flow, allow, sight);
}

/** What an expression over nothing but the inputs yields, as a text. */
export function knownText(expression: string, inputs: Readonly<Record<string, InputValue>>): string | undefined {
  const parsed = parseExpression(expression);
  if (parsed.kind === "faulty" || parsed.references.some(({ root }) => root !== "inputs")) return undefined;
  const result = evaluateExpression(expression, createScope({ inputs, nodes: {}, run: { id: "", folder: "" } }));
  const value = result.kind === "faulty" ? undefined : result.value;
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;
}
