/** What a flow would run, as far as it is known before it runs: nothing is started. */
import { messageOf } from "../../contract/errors.ts";
import type { CheckedFlow } from "../../contract/flow-check.ts";
import type { InputValue } from "../../contract/flow-inputs.ts";
import { isLiteral, parseTemplate } from "../../contract/flow-templates.ts";
import type { FlowNode } from "../../contract/flows.ts";
import { knownText } from "../../platform/flow/flow-policy-gate.ts";
import { planHash } from "../../platform/flow/plan-hash.ts";
import { formatCommand, plural } from "../format.ts";
import type { Style } from "../style.ts";
import { conditionsOf, edgeNames, plainLine, workOf } from "./node-text.ts";
import type { OpenedFlow } from "./open-flow.ts";

export interface PlannedNode {
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
  readonly nodes: readonly PlannedNode[];
  /** About the flow as a whole. */
  readonly refusals: PlannedNode["refusals"];
}

/** Goes through every node, those of flows in it too. */
export function planFlowDryRun(opened: OpenedFlow): FlowDryRun {
  const refusals = new Map<string, Refusal[]>();
  for (const { file, path, rule, where, found } of opened.refusals) {
    const key = path[0] === "nodes" ? `${file}:${String(path[1])}` : "";
    refusals.set(key, [...(refusals.get(key) ?? []), { rule, where, found }]);
  }
  const nodes = nodesOf(opened.flow, { around: "", opened, refusals });
  return { hash: planHash(opened.flow), nodes, refusals: refusals.get("") ?? [] };
}

type Refusal = PlannedNode["refusals"][number];

function nodesOf(flow: CheckedFlow, about: Pick<Around, "around" | "opened" | "refusals">): PlannedNode[] {
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
  readonly opened: OpenedFlow;
  /** By file and place of the node; those of the whole flow have no key. */
  readonly refusals: ReadonlyMap<string, readonly Refusal[]>;
  readonly inputs: Readonly<Record<string, InputValue>>;
}

function plannedNode(node: FlowNode, flow: CheckedFlow, { around, opened, inputs }: Around): PlannedNode {
  const isCommand = node.kind === "exec" || node.kind === "files";
  const { command, problem } = isCommand ? commandOf(node.command, inputs, opened) : { command: null, problem: null };
  return {
    id: `${around}${node.id}`,
    kind: node.kind,
    needs: node.needs,
    profile: node.profile ?? "default",
    command,
    work:
      isCommand && node.kind === "files" ? `over ${filled(node.input, inputs)}` : isCommand ? "" : workOf(node, flow),
    conditions: conditionsOf(node),
    refusals: [],
    problem,
  };
}

function commandOf(command: readonly string[], inputs: Around["inputs"], { binaryOf }: OpenedFlow) {
  const [binary = "", ...rest] = command.map((template) => filled(template, inputs));
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

/** For people. */
export function flowDryRunText({ hash, nodes, refusals }: FlowDryRun, style: Style): string {
  const lines = nodes.flatMap((node) => nodeLines(node, style));
  const whole = refusals.map(({ rule, found }) => style.red(`  refused by ${rule}: ${plainLine(found)}`));
  return [...lines, ...whole, "", `${plural(nodes.length, "node")} would run; plan ${hash}`].join("\n");
}

function nodeLines(node: PlannedNode, style: Style): string[] {
  const needs = node.needs.map(({ node: id, on }) => (on === "success" ? id : `${id} (${edgeNames[on]})`));
  const facts = [
    `profile ${node.profile}`,
    ...(needs.length === 0 ? [] : [`after ${needs.join(", ")}`]),
    ...node.conditions,
  ];
  const work = [node.command === null ? "" : formatCommand(node.command), node.work]
    .filter((text) => text !== "")
    .join(" ");
  return [
    `${style.bold(node.id)}  ${style.cyan(node.kind)}  ${plainLine(work)}`,
    style.dim(`  ${plainLine(facts.join("; "))}`),
    ...(node.problem === null ? [] : [style.red(`  would not start: ${plainLine(node.problem)}`)]),
    ...node.refusals.map(({ rule, where, found }) =>
      style.red(`  refused by ${rule} at ${where}: ${plainLine(found)}`),
    ),
  ];
}
