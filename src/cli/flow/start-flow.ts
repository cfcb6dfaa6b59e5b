/** Starts a flow that is allowed and has all its inputs, and follows it to its end. */
import { join, resolve } from "node:path";
import { InvalidInputError } from "../../contract/errors.ts";
import type { CheckedFlow } from "../../contract/flow-check.ts";
import { isLiteral, parseTemplate } from "../../contract/flow-templates.ts";
import { oneOf } from "../../contract/schema-faults.ts";
import type { Invocation } from "../command-line.ts";
import { runStarted } from "../run/session.ts";
import type { RunFlags } from "../run-flags.ts";
import type { OpenedFlow } from "./open-flow.ts";

/** Where the folders of runs are made when nobody says it. */
const RUNS_FOLDER = "runs";

/** @throws {InvalidInputError} naming the binaries that are not there */
export function startFlow(opened: OpenedFlow, flags: RunFlags, invocation: Invocation): Promise<number> {
  const { flow, inputs, base, config } = opened;
  const agents = agentsOf(flow, opened);
  const binaries = binariesOf(flow, opened.binaryOf);
  const root = resolve(invocation.io.cwd, flags.output ?? RUNS_FOLDER);
  const stamp = stampOf(new Date());
  const folder = (runId: string) => join(root, `${stamp}-${runId}`);
  return runStarted(flags, invocation, config, ({ client }) =>
    client.flows.start(flow, { inputs, base, binaries, agents, folder }),
  );
}

/** The agent programs that a flow and those in it name. @throws {InvalidInputError} naming those that are not configured */
function agentsOf(flow: CheckedFlow, { config, binaryOf }: OpenedFlow): Record<string, readonly string[]> {
  const found: Record<string, readonly string[]> = {};
  const known = Object.keys(config.agents);
  const faults = [...programsIn(flow)].flatMap((name) => {
    const [binary = "", ...words] = config.agents[name]?.command ?? [];
    if (binary !== "") found[name] = [binaryOf(binary), ...words];
    const expected = known.length === 0 ? "a program in the section agents of the configuration" : oneOf(known, name);
    return binary === "" ? [{ where: "program", expected, found: JSON.stringify(name) }] : [];
  });
  if (faults.length > 0) throw new InvalidInputError("flow", faults);
  return found;
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

/** `20261127-034412`, in local time: folders sort by age. */
function stampOf(at: Date): string {
  const two = (part: number) => String(part).padStart(2, "0");
  const day = `${at.getFullYear()}${two(at.getMonth() + 1)}${two(at.getDate())}`;
  return `${day}-${two(at.getHours())}${two(at.getMinutes())}${two(at.getSeconds())}`;
}
