/** Whether the expressions of a flow name what is there and has ended by then. */
import { parseExpression, showExpression, type ParsedExpression, type Reference } from "./flow-expressions.ts";
import { Ancestry } from "./flow-graph.ts";
import { parseTemplate } from "./flow-templates.ts";
import { nodeFieldsOf, type FlowDocument, type FlowNode } from "./flows.ts";
import { oneOf, showPath, type PathFault } from "./schema-faults.ts";

/** What an expression at some place may name. */
interface ScopeNames {
  readonly inputs: readonly string[];
  /** The node that it stands in; "end": all nodes have ended; undefined: what holds for the whole flow may name no nodes. */
  readonly node?: FlowNode | "end";
  readonly byId: ReadonlyMap<string, FlowNode>;
  readonly ancestry: () => Ancestry;
  readonly nested: NestedDocuments;
  readonly hasItem: boolean;
}

/** The flows of nodes that are flows, by the ids of the nodes; those that have faults are left out. */
export type NestedDocuments = ReadonlyMap<string, { readonly document: Pick<FlowDocument, "outputs"> }>;

/** One text of a flow that expressions stand in. */
export interface FlowText {
  readonly path: readonly (string | number)[];
  readonly text: string;
  readonly kind: "template" | "condition" | "list";
  /** Whether `item` and `index` are known there. */
  readonly hasItem: boolean;
}

/** Every text of a node in which expressions may stand; paths begin at the node. */
export function textsOf(node: FlowNode): FlowText[] {
  const hasItem = node.foreach !== undefined;
  const template = (text: string, ...path: (string | number)[]): FlowText => ({
    path,
    text,
    kind: "template",
    hasItem,
  });
  const texts: FlowText[] = Object.entries(node.env).map(([name, text]) => template(text, "env", name));
  // Both are decided before there are instances.
  if (node.when !== undefined) texts.push({ path: ["when"], text: node.when, kind: "condition", hasItem: false });
  if (typeof node.foreach === "string") {
    texts.push({ path: ["foreach"], text: node.foreach, kind: "list", hasItem: false });
  }
  return [...texts, ...ownTexts(node, template)];
}

function ownTexts(node: FlowNode, template: (text: string, ...path: (string | number)[]) => FlowText): FlowText[] {
  switch (node.kind) {
    case "exec":
      return node.command.map((text, at) => template(text, "command", at));
    case "files":
      return [...node.command.map((text, at) => template(text, "command", at)), template(node.input, "input")];
    case "infer":
      return [template(node.model, "model"), template(node.input, "input")];
    case "agent":
      return [
        template(node.prompt, "prompt"),
        ...(node.output.file === undefined ? [] : [template(node.output.file, "output", "file")]),
        ...(node.folder === undefined ? [] : [template(node.folder.path, "folder", "path")]),
      ];
    case "gate":
      return [template(node.message, "message")];
    case "flow":
      return Object.entries(node.inputs).flatMap(([name, value]) =>
        typeof value === "string" ? [template(value, "inputs", name)] : [],
      );
  }
}

/** The texts that say what a flow comes to; paths begin at the flow. */
export function outputTextsOf(outputs: FlowDocument["outputs"] = {}): FlowText[] {
  return Object.entries(outputs).map(([name, text]) => ({
    ...{ path: ["outputs", name], text, kind: "template", hasItem: false },
  }));
}

/** Every fault of the expressions of a flow; `order` is that of its nodes, as far as they have one. */
export function referenceFaults(
  document: FlowDocument,
  order: readonly FlowNode[],
  nested: NestedDocuments = new Map(),
): PathFault[] {
  let ancestry: Ancestry | undefined;
  const names = {
    inputs: Object.keys(document.inputs),
    byId: new Map(document.nodes.map((node) => [node.id, node])),
    ancestry: () => (ancestry ??= new Ancestry(order)),
    nested,
  };
  const faults = Object.entries(document.env).flatMap(([name, text]) =>
    textFaults({ path: ["env", name], text, kind: "template", hasItem: false }, { ...names, hasItem: false }),
  );
  for (const text of outputTextsOf(document.outputs)) {
    faults.push(...textFaults(text, { ...names, node: "end", hasItem: false }));
  }
  for (const [at, node] of document.nodes.entries()) {
    for (const text of textsOf(node)) {
      const place = { ...text, path: ["nodes", at, ...text.path] };
      faults.push(...textFaults(place, { ...names, node, hasItem: text.hasItem }));
    }
  }
  return faults;
}

function textFaults(place: FlowText, names: ScopeNames): PathFault[] {
  if (place.text.includes("\0")) return [faultAt(place, "a text without NUL characters", showExpression(place.text))];
  if (place.kind !== "template") return expressionFaults(place, place.text, names);
  const parsed = parseTemplate(place.text);
  if (parsed.kind === "faulty")
    return [faultAt(place, parsed.expected, `${parsed.found} in ${showExpression(place.text)}`)];
  return parsed.parts.flatMap((part) => (part.kind === "text" ? [] : expressionFaults(place, part.expression, names)));
}

const wantedTypes: Readonly<Record<FlowText["kind"], readonly string[] | undefined>> = {
  template: undefined,
  condition: ["bool", "dyn"],
  list: ["list", "dyn"],
};

function expressionFaults(place: FlowText, expression: string, names: ScopeNames): PathFault[] {
  const parsed = parseExpression(expression);
  if (parsed.kind === "faulty") return parsed.problems.map(({ expected, found }) => faultAt(place, expected, found));
  const typed = typeFault(place, parsed, expression);
  const problems = parsed.references.flatMap((reference) => referenceProblem(reference, names) ?? []);
  return [
    ...typed,
    ...problems.map(({ expected, found }) => faultAt(place, expected, `${found} in ${showExpression(expression)}`)),
  ];
}

function typeFault(place: FlowText, { type }: ParsedExpression, expression: string): PathFault[] {
  const wanted = wantedTypes[place.kind];
  const isList = type.startsWith("list<");
  if (wanted === undefined || wanted.includes(type) || (isList && place.kind === "list")) return [];
  const expected = place.kind === "list" ? "an expression that yields a list" : "an expression that is true or false";
  return [faultAt(place, expected, `one that yields ${type}: ${showExpression(expression)}`)];
}

function referenceProblem(reference: Reference, names: ScopeNames): { expected: string; found: string } | undefined {
  const { root, name = "" } = reference;
  if (root === "run") return undefined;
  if (root === "item" || root === "index") {
    if (names.hasItem) return undefined;
    return { expected: "a foreach beside it, whose entries it is about", found: root };
  }
  if (root === "inputs") {
    if (names.inputs.includes(name)) return undefined;
    const expected = names.inputs.length === 0 ? "no inputs: the flow has none" : oneOf(names.inputs, name);
    return { expected, found: `the unknown input ${JSON.stringify(name)}` };
  }
  return nodeProblem(reference, names);
}

const SHOWN_NODES = 10;

function nodeProblem(
  { name: id = "", field = "", below }: Reference,
  { node, byId, ancestry, nested }: ScopeNames,
): { expected: string; found: string } | undefined {
  if (node === undefined) return { expected: "inputs and run alone", found: `the node ${JSON.stringify(id)}` };
  const named = byId.get(id);
  if (node === "end") {
    if (named === undefined)
      return {
        expected: `a node of the flow: ${oneOf([...byId.keys()].slice(0, SHOWN_NODES), id)}`,
        found: unknownNode(id),
      };
  } else {
    const isNeeded = node.needs.some((edge) => edge.node === id);
    if (!isNeeded && (named === undefined || !ancestry().isBefore(id, node.id)))
      return strangerProblem(id, node, { named, byId });
  }
  // That a need is not there is told where it is needed.
  return named === undefined ? undefined : fieldProblem(named, { field, below }, nested);
}

function fieldProblem(
  named: FlowNode,
  { field, below }: { readonly field: string; readonly below: string | undefined },
  nested: NestedDocuments,
): { expected: string; found: string } | undefined {
  const fields = nodeFieldsOf(named);
  if (!fields.some((known) => known === field)) {
    return { expected: `of the node ${named.id} ${oneOf(fields, field)}`, found: JSON.stringify(field) };
  }
  const flow = named.kind === "flow" && field === "result" ? nested.get(named.id) : undefined;
  if (flow === undefined) return undefined;
  const names = Object.keys(flow.document.outputs ?? {});
  if (names.length === 0) {
    return { expected: `outputs in the flow of the node ${named.id}, which has none`, found: '"result"' };
  }
  if (below === undefined || names.includes(below)) return undefined;
  return {
    expected: `of the outputs of the node ${named.id} ${oneOf(names, below)}`,
    found: `the unknown output ${JSON.stringify(below)}`,
  };
}

function strangerProblem(id: string, { needs }: FlowNode, { named, byId }: Stranger) {
  // A need that is not there is told where it is needed, and is no name to go by.
  const known = needs
    .map(({ node }) => node)
    .filter((node) => byId.has(node))
    .slice(0, SHOWN_NODES);
  if (named === undefined && known.length < needs.length) {
    return {
      expected: `a node of the flow: ${oneOf([...byId.keys()].slice(0, SHOWN_NODES), id)}`,
      found: unknownNode(id),
    };
  }
  const expected =
    known.length === 0
      ? "no nodes: it needs none"
      : `a node that it needs, directly or through others: ${oneOf(known, id)}`;
  return { expected, found: named === undefined ? unknownNode(id) : `the node ${JSON.stringify(id)}` };
}

interface Stranger {
  readonly named: FlowNode | undefined;
  readonly byId: ReadonlyMap<string, FlowNode>;
}

function unknownNode(id: string): string {
  return `the unknown node ${JSON.stringify(id)}`;
}

function faultAt({ path }: Pick<FlowText, "path">, expected: string, found: string): PathFault {
  return { path, where: showPath(path), expected, found };
}
