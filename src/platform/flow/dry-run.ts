/** What a flow would run, as far as it is known before it runs: nothing is started. */
import { agentWords, type KeptAgent } from "../../contract/agents.ts";
import { messageOf } from "../../contract/errors.ts";
import type { CheckedFlow } from "../../contract/flow-check.ts";
import type { InputValue } from "../../contract/flow-inputs.ts";
import { isLiteral, parseTemplate } from "../../contract/flow-templates.ts";
import type { RuleFault } from "../../contract/flow-policy.ts";
import type { FlowNode } from "../../contract/flows.ts";
import { knownText } from "./flow-policy-gate.ts";
import { planHash } from "./plan-hash.ts";
import { conditionsOf, workOf } from "./node-text.ts";

/** A flow with the values of its inputs, and what the operator does not allow of it. */
export interface FlowInHand {
  readonly flow: CheckedFlow;
  readonly inputs: Readonly<Record<string, InputValue>>;
  readonly refusals: readonly RuleFault[];
  /** The absolute path of a binary. @throws when there is none */
  readonly binaryOf: (name: string) => string;
  /** The agent programs of the configuration. */
  readonly agents?: Readonly<Record<string, KeptAgent>>;
}

/** What one node would do. */
export interface DryNode {
  /** With the flow nodes around it: `outer/inner`. */
  readonly id: string;
  readonly kind: FlowNode["kind"];
  readonly needs: FlowNode["needs"];
  readonly profile: string;
  /** Templates filled in as far as they are known; what is not known stays `${…}`. Null for nodes without a command. */
  readonly command: readonly string[] | null;
  /** What it does, when it is no command. */
  readonly work: string;
  readonly conditions: readonly string[];
  /** What the operator does not allow, each with its rule. */
  readonly refusals: readonly { readonly rule: string; readonly where: string; readonly found: string }[];
  /** Why it would not start: a binary that is not there. */
  readonly problem: string | null;
}

export interface FlowDryRun {
  readonly hash: string;
  readonly nodes: readonly DryNode[];
  /** About the flow as a whole. */
  readonly refusals: DryNode["refusals"];
  /** What it would come to, by name, as far as that is known. */
  readonly outputs: Readonly<Record<string, string>>;
}

/** Goes through every node, those of flows in it too. */
export function planFlowDryRun(opened: FlowInHand): FlowDryRun {
  const refusals = new Map<string, Refusal[]>();
  for (const { file, path, rule, where, found } of opened.refusals) {
    const key = path[0] === "nodes" ? `${file}:${String(path[1])}` : "";
    refusals.set(key, [...(refusals.get(key) ?? []), { rule, where, found }]);
  }
  const nodes = nodesOf(opened.flow, { around: "", opened, refusals });
  const outputs = Object.entries(opened.flow.document.outputs ?? {}).map(
    ([name, template]) => [name, filled(template, opened.inputs)] as const,
  );
  return {
    ...{ hash: planHash(opened.flow), nodes, refusals: refusals.get("") ?? [] },
    outputs: Object.fromEntries(outputs),
  };
}

type Refusal = DryNode["refusals"][number];

function nodesOf(flow: CheckedFlow, about: Pick<Around, "around" | "opened" | "refusals">): DryNode[] {
  const places = new Map(flow.document.nodes.map(({ id }, at) => [id, at]));
  const { around, opened } = about;
  const isOutermost = flow === opened.flow;
  return flow.order.flatMap((node) => {
    const nested = flow.nested.get(node.id);
    const refusals = about.refusals.get(`${isOutermost ? "" : flow.file}:${places.get(node.id) ?? ""}`) ?? [];
    // Inputs of a flow within another one are those that its node hands over when it runs.
    const planned = plannedNode(node, flow, { ...about, inputs: isOutermost ? opened.inputs : {} });
    const inner = nested === undefined ? [] : nodesOf(nested, { ...about, around: `${around}${node.id}/` });
    return [{ ...planned, refusals }, ...inner];
  });
}

interface Around {
  readonly around: string;
  readonly opened: FlowInHand;
  /** By file and place of the node; those of the whole flow have no key. */
  readonly refusals: ReadonlyMap<string, readonly Refusal[]>;
  readonly inputs: Readonly<Record<string, InputValue>>;
}

function plannedNode(node: FlowNode, flow: CheckedFlow, { around, opened, inputs }: Around): DryNode {
  const isCommand = node.kind === "exec" || node.kind === "files";
  const { command, problem } = isCommand
    ? commandOf(node.command, inputs, opened)
    : node.kind === "agent"
      ? agentCommandOf(node, inputs, opened)
      : { command: null, problem: null };
  return {
    id: `${around}${node.id}`,
    kind: node.kind,
    needs: node.needs,
    profile: node.profile ?? "default",
    command,
    work: dryWork(node, flow, inputs),
    conditions: conditionsOf(node),
    refusals: [],
    problem,
  };
}

/** What a node does beside its command. */
function dryWork(node: FlowNode, flow: CheckedFlow, inputs: Around["inputs"]): string {
  if (node.kind === "exec") return "";
  if (node.kind === "files") return `over ${filled(node.input, inputs)}`;
  if (node.kind !== "agent" || node.folder === undefined) return workOf(node, flow);
  return workOf({ ...node, folder: { ...node.folder, path: filled(node.folder.path, inputs) } }, flow);
}

function agentCommandOf(node: Extract<FlowNode, { kind: "agent" }>, inputs: Around["inputs"], opened: FlowInHand) {
  const { agents = {}, binaryOf } = opened;
  const program = Object.hasOwn(agents, node.program) ? agents[node.program] : undefined;
  if (program === undefined) {
    const expected = "a program in the section agents of the configuration";
    return { command: null, problem: `program: expected ${expected}, found ${JSON.stringify(node.program)}` };
  }
  return found(agentWords(program, node, filled(node.prompt, inputs)), binaryOf);
}

function commandOf(command: readonly string[], inputs: Around["inputs"], { binaryOf }: FlowInHand) {
  return found(
    command.map((template) => filled(template, inputs)),
    binaryOf,
  );
}

/** A command with its binary as it is here. */
function found([binary = "", ...rest]: readonly string[], binaryOf: FlowInHand["binaryOf"]) {
  if (binary.includes("${")) return { command: [binary, ...rest], problem: null };
  try {
    return { command: [binaryOf(binary), ...rest], problem: null };
  } catch (error) {
    return { command: [binary, ...rest], problem: messageOf(error).replace(/\s+/g, " ") };
  }
}

/** A template with what is known in it. */
function filled(template: string, inputs: Around["inputs"]): string {
  const parsed = parseTemplate(template);
  if (parsed.kind === "faulty") return template;
  if (isLiteral(parsed.parts)) return parsed.parts.map((part) => (part.kind === "text" ? part.text : "")).join("");
  return parsed.parts
    .map((part) =>
      part.kind === "text" ? part.text : (knownText(part.expression, inputs) ?? `\${${part.expression}}`),
    )
    .join("");
}
