/** What a plan must pass before it is one: what every flow must, nothing hidden, and the operator's policy. */
import type { Allow } from "../../contract/allow.ts";
import type { Config } from "../../contract/config.ts";
import { InvalidInputError } from "../../contract/errors.ts";
import { checkFlow, type CheckedFlow } from "../../contract/flow-check.ts";
import { profileNames, profilesOf } from "../../contract/flow-profiles.ts";
import { isLiteral, literalPrefix, parseTemplate } from "../../contract/flow-templates.ts";
import { hiddenCharacterFaults } from "../../contract/hidden-characters.ts";
import { isRestricted } from "../../contract/policy.ts";
import { oneOf, showPath, type PathFault } from "../../contract/schema-faults.ts";
import { policyFaults } from "../../platform/flow/flow-policy-gate.ts";

export type PlanCheck =
  | { readonly kind: "valid"; readonly flow: CheckedFlow }
  | { readonly kind: "faulty"; readonly faults: readonly PathFault[] };

/** Decides about a graph as it was written. */
export type CheckPlan = (written: unknown) => PlanCheck;

/** The agents that a plan may name, and where programs are. */
export interface PlanAgents {
  readonly agents: Config["agents"];
  /** The absolute path of a program. @throws {InvalidInputError} when it is not there */
  readonly programPath: (name: string) => string;
}

/**
 * The rules for plans: an agent's tools and the network are closed where the operator has not said anything. A node of a
 * plan that says nothing of the network has none either.
 */
export function rulesForPlans(allow: Allow): Allow {
  return { ...allow, tools: allow.tools ?? [], network: allow.network ?? false };
}

/**
 * The checks of one operator's rules, profiles and agents; without agents, those that a plan names are left to its start. A
 * plan names no other flow files: there are none beside it.
 */
export function createCheckPlan(allow: Allow, profiles: Config["profiles"] = {}, known?: PlanAgents): CheckPlan {
  const names = profileNames(profiles);
  return (written) => {
    const hidden = hiddenCharacterFaults(written);
    const checked = hidden.length > 0 ? { kind: "faulty" as const, faults: hidden } : checkFlow(written, {}, "", names);
    if (checked.kind === "faulty") return checked;
    const { flow } = checked;
    const { agents, faults } = known === undefined ? { agents: {}, faults: [] } : agentsIn(flow, known);
    // Where only some may be named, they are named by their paths.
    if (known !== undefined && !isRestricted(allow, "binaries")) faults.push(...binaryFaults(flow, known));
    faults.push(...policyFaults(flow, rulesForPlans(allow), { agents, profiles: profilesOf(flow, profiles) }));
    return faults.length > 0 ? { kind: "faulty", faults } : checked;
  };
}

/** Binaries that are named without a path and are not there: what starts the plan would look them up here too. */
function binaryFaults({ document }: CheckedFlow, { programPath }: PlanAgents): PathFault[] {
  return document.nodes.flatMap((node, at): PathFault[] => {
    if (node.kind !== "exec" && node.kind !== "files") return [];
    const name = bareName(node.command[0] ?? "");
    const located = name === undefined ? { path: "" } : locate(name, programPath);
    const path = ["nodes", at, "command", 0];
    return "path" in located ? [] : [{ path, where: showPath(path), ...located }];
  });
}

function bareName(template: string): string | undefined {
  const parsed = parseTemplate(template);
  if (template === "" || template.includes("/") || parsed.kind === "faulty") return undefined;
  return isLiteral(parsed.parts) ? literalPrefix(parsed.parts) : undefined;
}

type Located = { readonly path: string } | { readonly expected: string; readonly found: string };

function locate(name: string, programPath: PlanAgents["programPath"]): Located {
  try {
    return { path: programPath(name) };
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    const [{ expected, found } = { expected: "a program that is there", found: JSON.stringify(name) }] = error.faults;
    return { expected, found };
  }
}

/** The commands of the agents that a plan names, and a fault at each node whose agent is none or is not there. */
function agentsIn(
  { document }: CheckedFlow,
  known: PlanAgents,
): { agents: Record<string, readonly string[]>; faults: PathFault[] } {
  const agents: Record<string, readonly string[]> = {};
  const faults: PathFault[] = [];
  for (const [at, node] of document.nodes.entries()) {
    if (node.kind !== "agent") continue;
    const path = ["nodes", at, "program"];
    const found = commandOf(node.program, known);
    if ("command" in found) agents[node.program] = found.command;
    else faults.push({ path, where: showPath(path), ...found });
  }
  return { agents, faults };
}

type Found = { readonly command: readonly string[] } | { readonly expected: string; readonly found: string };

function commandOf(name: string, { agents, programPath }: PlanAgents): Found {
  const names = Object.keys(agents);
  const [binary = "", ...words] = (Object.hasOwn(agents, name) ? agents[name]?.command : undefined) ?? [];
  if (binary === "") {
    const expected = names.length === 0 ? "no agent: none is offered" : oneOf(names, name);
    return { expected, found: JSON.stringify(name) };
  }
  const found = locate(binary, programPath);
  if ("path" in found) return { command: [found.path, ...words] };
  return { expected: `an agent whose program is there: ${found.expected}`, found: found.found };
}
