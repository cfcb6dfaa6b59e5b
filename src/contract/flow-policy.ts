/**
 * Whether the operator allows what a flow asks for: one set of rules for flows of people and of models. Pure: about paths
 * it asks whoever sees the disk. What a template yields is not known yet, so it is allowed as far as its own text says where
 * it leads, and decided again where it is run.
 */
import { ANY, sandboxLevels, type Allow, type FlowLimits } from "./allow.ts";
import { writtenStarts } from "./flow-attempts.ts";
import type { CheckedFlow } from "./flow-check.ts";
import { measureOf, type FlowMeasure } from "./flow-measure.ts";
import { isLiteral, literalPrefix, parseTemplate, type TemplatePart } from "./flow-templates.ts";
import type { FlowNode } from "./flows.ts";
import { allowedVariables, isRestricted, listed, modelRule, type PathRule } from "./policy.ts";
import { showPath, type PathFault } from "./schema-faults.ts";

/** A fault with the rule of the operator that it is against. */
export interface RuleFault extends PathFault {
  /** `allow.binaries`, `allow.limits.nodes`. */
  readonly rule: string;
  /** The file, as in `CheckedFlow`; empty for the outermost one. */
  readonly file: string;
}

/** What the rules about paths need to know of this machine. */
export interface FlowSight {
  /** Why a path is not allowed, or undefined. */
  readonly refusal: (rule: PathRule, path: string) => { readonly expected: string; readonly found: string } | undefined;
  /** What an expression of the outermost flow is known to yield by now; undefined: not known. */
  readonly known?: (expression: string) => string | undefined;
  /** Where the folder of the run is made; undefined: not known. */
  readonly runs?: string | undefined;
  /** What the profile of a node asks for; undefined: not known. */
  readonly memoryOf?: (node: FlowNode) => number | undefined;
  /** The program of an agent, as it is started; undefined: not known. */
  readonly programOf?: (agent: string) => string | undefined;
}

type AgentNode = Extract<FlowNode, { kind: "agent" }>;
type Place = readonly (string | number)[];

/** Everything that a flow, with the flows in it, asks for and may not have. */
export function flowFaults(flow: CheckedFlow, allow: Allow, sight: FlowSight): RuleFault[] {
  const faults = limitFaults(measureOf(flow), allow.limits ?? {});
  for (const part of new Set(partsOf(flow, new Map()).values()))
    faults.push(...new Policy(part, allow, sight).faults(part === flow ? "" : part.file));
  return faults;
}

/** A flow and those in it, each file once. */
function partsOf(flow: CheckedFlow, found: Map<string, CheckedFlow>): Map<string, CheckedFlow> {
  if (found.has(flow.file)) return found;
  found.set(flow.file, flow);
  for (const nested of flow.nested.values()) partsOf(nested, found);
  return found;
}

const measures = [
  ["nodes", "nodes", "nodes", "a max_items for each foreach over an expression"],
  ["depth", "depth", "nodes after one another", "a flow that ends"],
  ["width", "width", "nodes beside one another", "a max_items for each foreach over an expression"],
  ["total_seconds", "seconds", "seconds in all", "a timeout_seconds for the flow, or for each node on the longest way"],
  ["cost_usd", "costUsd", "dollars in all", "a max_cost_usd for each agent, and a max_items for each foreach of one"],
  ["turns", "turns", "turns of agents in all", "a max_items for each foreach of an agent"],
  ["tokens", "tokens", "tokens in all", "a max_tokens for each agent, and a max_items for each foreach of one"],
] as const satisfies readonly (readonly [keyof FlowLimits, keyof FlowMeasure, string, string])[];

function limitFaults(measure: FlowMeasure, limits: FlowLimits): RuleFault[] {
  return measures.flatMap(([name, key, unit, remedy]): RuleFault[] => {
    const [limit, amount] = [limits[name], measure[key]];
    if (limit === undefined || amount <= limit) return [];
    const isOpen = amount === Infinity;
    const expected = `${limit} ${unit} at most (allow.limits.${name})${isOpen ? `; that takes ${remedy}` : ""}`;
    const found = isOpen ? "no bound" : String(amount);
    return [{ rule: `allow.limits.${name}`, file: "", path: [], where: "the flow", expected, found }];
  });
}

/** The rules over one flow file. */
class Policy {
  readonly #flow: CheckedFlow;
  readonly #allow: Allow;
  readonly #sight: FlowSight;
  readonly #faults: RuleFault[] = [];
  #file = "";

  constructor(flow: CheckedFlow, allow: Allow, sight: FlowSight) {
    this.#flow = flow;
    this.#allow = allow;
    this.#sight = sight;
  }

  /** `file` is what the faults call the file. */
  faults(file: string): RuleFault[] {
    this.#file = file;
    const { document } = this.#flow;
    this.#env(document.env, ["env"]);
    for (const [at, node] of document.nodes.entries()) this.#node(node, ["nodes", at]);
    return this.#faults;
  }

  #node(node: FlowNode, place: Place): void {
    this.#env(node.env, [...place, "env"]);
    this.#amounts(node, place);
    this.#enclosure(node, place);
    if (node.kind === "exec" || node.kind === "files") this.#binary(node.command[0] ?? "", [...place, "command", 0]);
    if (node.kind === "files" || node.kind === "infer") this.#path("read", node.input, [...place, "input"]);
    if (node.kind === "infer") this.#path(modelRule(this.#allow), node.model, [...place, "model"]);
    if (node.kind === "agent") {
      this.#tools(node.tools, [...place, "tools"]);
      this.#program(node.program, [...place, "program"]);
      if (node.folder !== undefined) this.#folder(node.folder, [...place, "folder"]);
    }
  }

  #env(env: Readonly<Record<string, string>>, place: Place): void {
    const allowed = allowedVariables(this.#allow);
    if (allowed === ANY) return;
    for (const name of Object.keys(env)) {
      if (allowed.includes(name)) continue;
      const expected = `a variable that allow.env names (${listed(allowed)})`;
      this.#refuse("env", [...place, name], { expected, found: JSON.stringify(name) });
    }
  }

  #amounts(node: FlowNode, place: Place): void {
    const { memory, attempts } = this.#allow.limits ?? {};
    if (memory !== undefined) this.#memory(node, place, memory);
    const starts = writtenStarts(node.retry);
    if (attempts !== undefined && starts > attempts) {
      const expected = `${attempts} attempts at most, over all failure classes (allow.limits.attempts)`;
      this.#refuse("limits.attempts", [...place, "retry"], { expected, found: String(starts) });
    }
  }

  /** What a node says counts in the place of what its profile has. */
  #memory(node: FlowNode, place: Place, limit: number): void {
    const own = node.resources?.memory;
    const asked = own ?? this.#sight.memoryOf?.(node);
    if (asked === undefined || asked <= limit) return;
    const at = own !== undefined ? ["resources", "memory"] : node.profile === undefined ? [] : ["profile"];
    const profile = own === undefined ? ` by the profile ${node.profile ?? "default"}` : "";
    const expected = `${limit} bytes at most (allow.limits.memory)`;
    this.#refuse("limits.memory", [...place, ...at], { expected, found: `${asked}${profile}` });
  }

  #enclosure(node: FlowNode, place: Place): void {
    const { network, sandbox } = this.#allow;
    if (network === false && node.network === true) {
      this.#refuse("network", [...place, "network"], { expected: "no network (allow.network)", found: "true" });
    }
    if (sandbox === undefined || node.sandbox === undefined) return;
    if (sandboxLevels.indexOf(node.sandbox) >= sandboxLevels.indexOf(sandbox)) return;
    const expected = `${sandbox} at least (allow.sandbox)`;
    this.#refuse("sandbox", [...place, "sandbox"], { expected, found: node.sandbox });
  }

  #tools(tools: readonly string[], place: Place): void {
    const allowed = this.#allow.tools ?? ANY;
    if (allowed === ANY) return;
    for (const [at, tool] of tools.entries()) {
      if (allowed.includes(tool)) continue;
      const expected = `a tool that allow.tools names (${listed(allowed)})`;
      this.#refuse("tools", [...place, at], { expected, found: JSON.stringify(tool) });
    }
  }

  /** A folder that may be written to is read as well. */
  #folder({ path, writable }: NonNullable<AgentNode["folder"]>, place: Place): void {
    this.#path("read", path, [...place, "path"]);
    if (writable) this.#path("write", path, [...place, "path"]);
  }

  /** An agent is a binary that the configuration names. */
  #program(agent: string, place: Place): void {
    const binary = this.#sight.programOf?.(agent);
    const refusal = binary === undefined ? undefined : this.#sight.refusal("binaries", binary);
    if (refusal !== undefined) this.#refuse("binaries", place, refusal);
  }

  /** What is started must be there to be read, and to be pinned. */
  #binary(template: string, place: Place): void {
    if (!isRestricted(this.#allow, "binaries")) return;
    const parts = this.#partsOf(template, false);
    if (isLiteral(parts)) {
      const refusal = this.#sight.refusal("binaries", literalPrefix(parts));
      if (refusal !== undefined) this.#refuse("binaries", place, refusal);
      return;
    }
    const expected = "a binary that allow.binaries names, written out";
    this.#refuse("binaries", place, { expected, found: JSON.stringify(template) });
  }

  #path(rule: PathRule, template: string, place: Place): void {
    if (!isRestricted(this.#allow, rule)) return;
    // Inputs of flows within others are those that a node hands them.
    const parts = this.#partsOf(template, this.#file === "");
    const text = literalPrefix(parts);
    if (isLiteral(parts)) {
      const refusal = this.#sight.refusal(rule, text);
      if (refusal !== undefined) this.#refuse(rule, place, refusal);
      return;
    }
    if (isOwnPath(parts)) {
      const { runs } = this.#sight;
      const refusal = runs === undefined ? undefined : this.#sight.refusal(rule, runs);
      if (refusal !== undefined) this.#refuse(rule, place, refusal);
      return;
    }
    // Up to its last slash the text says where it leads; behind that an expression may still make it another name.
    const folder = text.slice(0, text.lastIndexOf("/") + 1);
    const climbs = parts.some((part) => part.kind === "text" && part.text.split("/").includes(".."));
    const refusal = folder === "" || climbs ? undefined : this.#sight.refusal(rule, folder);
    if (folder !== "" && !climbs && refusal === undefined) return;
    const expected = `a path that begins, up to a slash, inside one of allow.${rule}, before its first expression`;
    this.#refuse(rule, place, { expected, found: JSON.stringify(template) });
  }

  /** What is known by now is text. */
  #partsOf(template: string, isKnown: boolean): readonly TemplatePart[] {
    const parsed = parseTemplate(template);
    if (parsed.kind === "faulty") throw new TypeError(`expected a checked template, found ${template}`);
    const parts: TemplatePart[] = [];
    for (const part of parsed.parts) {
      const text = part.kind === "text" ? part.text : isKnown ? this.#sight.known?.(part.expression) : undefined;
      const last = parts.at(-1);
      if (text === undefined) parts.push(part);
      else if (last?.kind === "text") parts[parts.length - 1] = { kind: "text", text: last.text + text };
      else parts.push({ kind: "text", text });
    }
    return parts;
  }

  #refuse(rule: string, path: Place, { expected, found }: { expected: string; found: string }): void {
    const file = this.#file;
    const where = file === "" ? showPath(path) : `${file}: ${showPath(path)}`;
    this.#faults.push({ rule: `allow.${rule}`, file, path, where, expected, found });
  }
}

/** Whether a path is one that the engine itself makes: the folder of the run, or what a node left there. */
function isOwnPath([first, second, ...rest]: readonly TemplatePart[]): boolean {
  if (first?.kind !== "expression") return false;
  const isOwn =
    first.expression === "run.folder" ||
    /^nodes(?:\.[A-Za-z_][A-Za-z0-9_]*|\["[a-z0-9_-]+"\])\.output$/.test(first.expression);
  if (!isOwn || second === undefined) return isOwn;
  return (
    rest.length === 0 && second.kind === "text" && second.text.startsWith("/") && !second.text.split("/").includes("..")
  );
}
