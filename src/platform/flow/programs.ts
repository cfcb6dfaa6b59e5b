/** The programs and profiles that a flow names, as this machine and its configuration have them. */
import type { KeptAgent } from "../../contract/agents.ts";
import type { Config } from "../../contract/config.ts";
import { InvalidInputError } from "../../contract/errors.ts";
import { profileFaults, type CheckedFlow } from "../../contract/flow-check.ts";
import { profileNames, profilesOf } from "../../contract/flow-profiles.ts";
import { isLiteral, parseTemplate } from "../../contract/flow-templates.ts";
import { oneOf } from "../../contract/schema-faults.ts";
import type { FlowSetting } from "./stored-flow.ts";

/** What a flow is run with that stands outside of it. @throws {InvalidInputError} naming what is not there */
export function programsOf(
  flow: CheckedFlow,
  config: Config,
  binaryOf: (name: string) => string,
): Pick<FlowSetting, "binaries" | "agents" | "profiles"> {
  requireProfiles(flow, config);
  const profiles = profilesOf(flow, config.profiles);
  return { agents: agentsOf(flow, config, binaryOf), binaries: binariesOf(flow, binaryOf), profiles };
}

function requireProfiles(flow: CheckedFlow, config: Config): void {
  const names = profileNames(config.profiles);
  const faults = profileFaults(flow.document, names);
  if (faults.length > 0) throw new InvalidInputError("flow", faults);
  for (const below of new Set(flow.nested.values())) requireProfiles(below, config);
}

/** The agent programs that a flow and those in it name. @throws {InvalidInputError} naming those that are not configured */
export function agentsOf(
  flow: CheckedFlow,
  config: Pick<Config, "agents">,
  binaryOf: (name: string) => string,
): Record<string, KeptAgent> {
  const found: Record<string, KeptAgent> = {};
  const known = Object.keys(config.agents);
  const faults = [...programsIn(flow)].flatMap((name) => {
    const { command = [], ...limits } = config.agents[name] ?? {};
    const [binary = "", ...words] = command;
    if (binary !== "") found[name] = keptOf([binaryOf(binary), ...words], limits);
    const expected = known.length === 0 ? "a program in the section agents of the configuration" : oneOf(known, name);
    return binary === "" ? [{ where: "program", expected, found: JSON.stringify(name) }] : [];
  });
  if (faults.length > 0) throw new InvalidInputError("flow", faults);
  return found;
}

/** Without limits the short form, which older workers know too. */
function keptOf(command: readonly string[], limits: Omit<Config["agents"][string], "command">): KeptAgent {
  return Object.values(limits).every((limit) => limit === undefined) ? command : { command, ...limits };
}

function programsIn(flow: CheckedFlow): Set<string> {
  const own = flow.order.flatMap((node) => (node.kind === "agent" ? [node.program] : []));
  const nested = [...new Set(flow.nested.values())].flatMap((below) => [...programsIn(below)]);
  return new Set([...own, ...nested]);
}

/** Absolute paths of the binaries that a flow and those in it name without a folder. */
function binariesOf(flow: CheckedFlow, binaryOf: (name: string) => string): Record<string, string> {
  const found: Record<string, string> = {};
  const faults = new Map<string, InvalidInputError>();
  for (const name of namesIn(flow)) {
    try {
      found[name] = binaryOf(name);
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      faults.set(name, error);
    }
  }
  if (faults.size > 0) {
    throw new InvalidInputError(
      "flow",
      [...faults.values()].flatMap((error) => error.faults),
    );
  }
  return found;
}

function namesIn(flow: CheckedFlow): Set<string> {
  const names = new Set<string>();
  for (const node of flow.order) {
    const binary = node.kind === "exec" || node.kind === "files" ? (node.command[0] ?? "") : "";
    const parsed = parseTemplate(binary);
    // One that is known only later must be a path by then.
    if (binary === "" || binary.includes("/") || parsed.kind === "faulty" || !isLiteral(parsed.parts)) continue;
    names.add(binary);
  }
  for (const nested of new Set(flow.nested.values())) for (const name of namesIn(nested)) names.add(name);
  return names;
}
