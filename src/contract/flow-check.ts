/**
 * Checks a flow file as a whole: its schema, the graph of its nodes, its expressions, and the flow files that it names.
 * Pure: whoever reads files hands them over. Every fault is told, each with the file that it stands in.
 */
import { posix } from "node:path";
import type { z } from "zod";
import type { Fault } from "./errors.ts";
import { graphOf, writtenCount, type FlowGraph } from "./flow-graph.ts";
import { defaultFaults, handedInputFaults } from "./flow-inputs.ts";
import { globFaults } from "./globs.ts";
import { knownFlowKeys } from "./flow-json-schema.ts";
import { referenceFaults } from "./flow-references.ts";
import { shapeFaults } from "./flow-shape.ts";
import { gather } from "./gather.ts";
import { checkTemplates } from "./template.ts";
import { enclosableKinds, flowDocument, type FlowDocument, type FlowNode } from "./flows.ts";
import { field, oneOf, schemaFaults, showPath, type PathFault } from "./schema-faults.ts";

/** A flow that can be run as it is: every name is known, and nothing waits for itself. */
export interface CheckedFlow extends FlowGraph {
  readonly document: FlowDocument;
  readonly byId: ReadonlyMap<string, FlowNode>;
  /** The flow of each node of the kind `flow`, by the id of the node. */
  readonly nested: ReadonlyMap<string, CheckedFlow>;
  /** Where its file lies, below the folder of the outermost one; empty for a flow that is no file. */
  readonly file: string;
  /** With those of flows in it, and as often as written lists repeat them. */
  readonly nodeCount: number;
}

export interface FlowFault extends PathFault {
  /** The file, as in `CheckedFlow`; empty for the outermost one. */
  readonly file: string;
}

export type FlowCheck =
  | { readonly kind: "valid"; readonly flow: CheckedFlow }
  | { readonly kind: "faulty"; readonly faults: readonly FlowFault[] };

type Issue = z.core.$ZodIssue;

/** Flow files by where they lie below the folder of the outermost one. */
export type FlowFiles = Readonly<Record<string, unknown>>;

/** Flows within one another. */
export const MAX_FLOW_DEPTH = 8;
const MAX_NODES = 100_000;
/** More would hide the first ones. */
const MAX_FAULTS = 100;
/** Looking for what was meant takes a moment for each known name. */
const MAX_SUGGESTIONS = 20;

/**
 * Checks what was written; `files` are the flow files that it names, `path` where its own lies, `profiles` the names of all
 * that are declared, where that is known.
 */
export function checkFlow(written: unknown, files: FlowFiles = {}, path = "", profiles?: readonly string[]): FlowCheck {
  const check = new Check(files, path, profiles);
  const flow = check.flow(written, path, []);
  if (flow !== undefined && check.faults.length === 0) return { kind: "valid", flow };
  const more = check.faults.length - MAX_FAULTS;
  const last = { file: "", path: [], where: "the flow", expected: "no faults", found: `${more} more` };
  return { kind: "faulty", faults: more > 0 ? [...check.faults.slice(0, MAX_FAULTS), last] : check.faults };
}

/** Where a flow file that another one names lies; undefined when it is not below the outermost one's folder. */
export function nestedPath(from: string, written: string): string | undefined {
  if (written.startsWith("/") || written.includes("\0") || written.includes("\\")) return undefined;
  const path = posix.join(posix.dirname(from), written);
  return path === ".." || path.startsWith("../") || path === "." || path.endsWith("/") ? undefined : path;
}

class Check {
  readonly faults: FlowFault[] = [];
  readonly #files: FlowFiles;
  readonly #outermost: string;
  readonly #profiles: readonly string[] | undefined;
  /** A file that several nodes name is checked once; undefined when it has faults. */
  readonly #checked = new Map<string, CheckedFlow | undefined>();

  constructor(files: FlowFiles, outermost: string, profiles: readonly string[] | undefined) {
    this.#files = files;
    this.#outermost = outermost;
    this.#profiles = profiles;
  }

  flow(written: unknown, file: string, around: readonly string[]): CheckedFlow | undefined {
    const before = this.faults.length;
    const document = this.#document(written, file);
    if (document === undefined) return undefined;
    // Needs that are not there are no cycle.
    const isWhole = this.faults.length === before;
    const graph = graphOf(document.nodes);
    if (isWhole && graph.kind === "cyclic") this.#cycles(document, graph.cycles, file);
    const order = graph.kind === "acyclic" ? graph.graph.order : graph.order;
    const unknown = this.#profiles === undefined ? [] : profileFaults(document, this.#profiles);
    const places = [...placeholderFaults(document), ...sandboxFaults(document), ...unknown];
    const globs = document.nodes.flatMap((node, at) => globFaults(node, ["nodes", at]));
    this.#add(file, [...defaultFaults(document.inputs), ...places, ...globs]);
    const own = this.faults.length;
    const nested = this.#nested(document, file, [...around, file]);
    // They are told before those of the flows in it, though these have to be looked at first.
    this.#add(file, referenceFaults(document, order, nested), own);
    if (graph.kind === "cyclic" || this.faults.length > before) return undefined;
    const nodeCount = document.nodes.reduce(
      (sum, node) => sum + writtenCount(node) * (1 + (nested.get(node.id)?.nodeCount ?? 0)),
      0,
    );
    if (nodeCount > MAX_NODES) {
      const expected = `${MAX_NODES} nodes at most, with those of flows in it`;
      this.#add(file, [{ path: ["nodes"], where: "nodes", expected, found: String(nodeCount) }]);
      return undefined;
    }
    const byId = new Map(document.nodes.map((node) => [node.id, node]));
    return { ...graph.graph, document, byId, nested, file, nodeCount };
  }

  #document(written: unknown, file: string): FlowDocument | undefined {
    const misshapen = shapeFaults(written);
    this.#add(file, misshapen);
    if (misshapen.length > 0) return undefined;
    const parsed = flowDocument.safeParse(written);
    const known = (path: readonly PropertyKey[]) => knownFlowKeys(written, path);
    if (!parsed.success) this.#add(file, schemaFaults(someOf(parsed.error.issues), written, known));
    this.#add(file, needFaults(written));
    return parsed.data;
  }

  #cycles({ nodes }: FlowDocument, cycles: readonly (readonly string[])[], file: string): void {
    const places = new Map(nodes.map(({ id }, at) => [id, at]));
    for (const cycle of cycles) {
      const path = ["nodes", places.get(cycle[0] ?? "") ?? 0, "needs"];
      this.#add(file, [faultAt(path, "nodes that do not wait for themselves", `the cycle ${cycle.join(" → ")}`)]);
    }
  }

  #nested({ nodes }: FlowDocument, file: string, around: readonly string[]): Map<string, CheckedFlow> {
    const nested = new Map<string, CheckedFlow>();
    for (const [at, node] of nodes.entries()) {
      if (node.kind !== "flow") continue;
      const path = ["nodes", at, "file"];
      const flow = this.#named(node.file, { from: file, path, around });
      if (flow === undefined) continue;
      nested.set(node.id, flow);
      const faults = handedInputFaults(node.inputs, flow.document.inputs);
      this.#add(
        file,
        faults.map((fault) => below(["nodes", at], fault)),
      );
    }
    return nested;
  }

  #named(written: string, place: NamedFlow): CheckedFlow | undefined {
    const target = nestedPath(place.from, written);
    const problem = this.#namingProblem(written, target, place);
    if (problem !== undefined || target === undefined) {
      const { path, from } = place;
      if (problem !== undefined) this.#add(from, [faultAt(path, problem.expected, problem.found)]);
      return undefined;
    }
    if (this.#checked.has(target)) return this.#checked.get(target);
    const flow = this.flow(this.#files[target], target, place.around);
    this.#checked.set(target, flow);
    return flow;
  }

  #namingProblem(
    written: string,
    target: string | undefined,
    { around }: NamedFlow,
  ): { expected: string; found: string } | undefined {
    if (target === undefined) {
      const expected = "a file below the folder of the outermost flow, as a relative path";
      return { expected, found: JSON.stringify(written) };
    }
    if (around.includes(target) || target === this.#outermost) {
      const found = [...around, target].filter((name) => name !== "").join(" → ");
      return { expected: "flows that are not within themselves", found };
    }
    const known = this.#checked.get(target);
    // How deep a flow lies is of each way to it, whereas it is checked once.
    if (around.length + (known === undefined ? 1 : nestingOf(known)) > MAX_FLOW_DEPTH) {
      return { expected: `flows ${MAX_FLOW_DEPTH} deep at most`, found: "more" };
    }
    const isThere = Object.hasOwn(this.#files, target);
    return isThere ? undefined : { expected: "a flow file that is there", found: `nothing at ${target}` };
  }

  #add(file: string, faults: readonly PathFault[], at = this.faults.length): void {
    const shown = file === this.#outermost ? "" : file;
    const told = faults.map((fault) => {
      return { ...fault, where: shown === "" ? fault.where : `${shown}: ${fault.where}`, file: shown };
    });
    this.faults.splice(at, 0, ...told);
  }
}

/** No more than are told: each takes a moment to put into words. */
function someOf(issues: readonly Issue[]): Issue[] {
  return issues
    .slice(0, MAX_FAULTS)
    .map((issue) => (issue.code === "unrecognized_keys" ? { ...issue, keys: issue.keys.slice(0, MAX_FAULTS) } : issue));
}

interface NamedFlow {
  readonly from: string;
  readonly path: readonly (string | number)[];
  readonly around: readonly string[];
}

/** Flows within one another below this one, with it. */
function nestingOf({ nested }: CheckedFlow): number {
  return 1 + [...new Set(nested.values())].reduce((most, flow) => Math.max(most, nestingOf(flow)), 0);
}

function below(before: readonly (string | number)[], { path, expected, found }: PathFault): PathFault {
  const full = [...before, ...path];
  return { path: full, where: showPath(full), expected, found };
}

/** Nodes whose profile is none of these: they would get what the default one has, whatever was meant. */
export function profileFaults({ nodes }: FlowDocument, names: readonly string[]): PathFault[] {
  return nodes.flatMap(({ profile }, at): PathFault[] => {
    if (profile === undefined || names.includes(profile)) return [];
    const path = ["nodes", at, "profile"];
    const expected = `a profile that is declared: ${oneOf(names, profile)}`;
    return [{ path, where: showPath(path), expected, found: JSON.stringify(profile) }];
  });
}

/** `{placeholders}` of commands over files, and names of outputs that lead out of the node's folder. */
function placeholderFaults({ nodes }: FlowDocument): PathFault[] {
  return nodes.flatMap((node, at) => {
    if (node.kind !== "files") return [];
    const faults: Fault[] = [];
    gather(faults, () => {
      checkTemplates(node.command, node.name ?? "");
    });
    return faults.map(({ where, expected, found }) =>
      faultAt(["nodes", at, where === "output name" ? "name" : "command"], expected, found),
    );
  });
}

/** Only processes can be shut in. */
function sandboxFaults({ nodes }: FlowDocument): PathFault[] {
  return nodes.flatMap(({ kind, sandbox = "none" }, at) => {
    if (sandbox === "none" || enclosableKinds.has(kind)) return [];
    const expected = `none, or a node of the kind ${[...enclosableKinds].join(", ")}: only processes can be shut in`;
    return [faultAt(["nodes", at, "sandbox"], expected, `${sandbox} of a node of the kind ${kind}`)];
  });
}

interface WrittenNode {
  readonly at: number;
  readonly id: string;
  readonly needs: readonly unknown[];
}

/** Ids that are there twice, and needs that are not there; read as written, to be told beside all other faults. */
function needFaults(written: unknown): PathFault[] {
  const list = field(written, "nodes");
  if (!Array.isArray(list)) return [];
  const nodes: WrittenNode[] = (list as unknown[]).flatMap((node, at) => {
    const [id, needs] = [field(node, "id"), field(node, "needs")];
    return typeof id === "string" ? [{ at, id, needs: Array.isArray(needs) ? (needs as unknown[]) : [] }] : [];
  });
  const first = new Map<string, number>();
  const faults: PathFault[] = [];
  for (const { id, at } of nodes) {
    const earlier = first.get(id);
    if (earlier === undefined) first.set(id, at);
    else faults.push(faultAt(["nodes", at, "id"], `an id of its own (nodes[${earlier}] has it)`, JSON.stringify(id)));
  }
  for (const node of nodes) faults.push(...needsOf(node, first, faults.length));
  return faults;
}

function needsOf({ at, needs }: WrittenNode, known: ReadonlyMap<string, number>, faultsBefore: number): PathFault[] {
  const faults: PathFault[] = [];
  const seen = new Set<string>();
  for (const [place, need] of needs.entries()) {
    const id = typeof need === "string" ? need : field(need, "node");
    const path = ["nodes", at, "needs", place];
    if (typeof id !== "string") continue;
    if (!known.has(id)) {
      const isSuggested = faultsBefore + faults.length < MAX_SUGGESTIONS;
      const expected = isSuggested ? `a node of the flow: ${nodeNames([...known.keys()], id)}` : "a node of the flow";
      faults.push(faultAt(path, expected, `the unknown node ${JSON.stringify(id)}`));
    } else if (seen.has(id)) faults.push(faultAt(path, "each node once", `${JSON.stringify(id)} again`));
    seen.add(id);
  }
  return faults;
}

const SHOWN_NAMES = 10;

function nodeNames(names: readonly string[], found: string): string {
  const hint = / \(did you mean .*$/.exec(oneOf(names, found))?.[0] ?? "";
  const more = names.length > SHOWN_NAMES ? ` and ${names.length - SHOWN_NAMES} more` : "";
  return `${names.slice(0, SHOWN_NAMES).join(", ")}${more}${hint}`;
}

function faultAt(path: readonly (string | number)[], expected: string, found: string): PathFault {
  return { path, where: showPath(path), expected, found };
}
