/** A flow file of the command line: read, checked, with its inputs, and held against the policy of the configuration. */
import { dirname } from "node:path";
import type { KeptAgent } from "../../contract/agents.ts";
import type { Config } from "../../contract/config.ts";
import { InvalidInputError, PolicyError, type Fault } from "../../contract/errors.ts";
import type { CheckedFlow } from "../../contract/flow-check.ts";
import { resolveInputs, type InputValue } from "../../contract/flow-inputs.ts";
import { profileNames, profilesOf } from "../../contract/flow-profiles.ts";
import type { RuleFault } from "../../contract/flow-policy.ts";
import { resolveFrom } from "../../platform/current-folder.ts";
import { loadConfig } from "../../platform/config-file.ts";
import { loadFlowFile } from "../../platform/flow/flow-file.ts";
import { policyFaults } from "../../platform/flow/flow-policy-gate.ts";
import type { Io } from "../io.ts";
import { resolveBinary } from "../run/binary.ts";

export interface FlowFlags {
  readonly flow?: string;
  readonly set?: readonly string[];
  readonly config?: string;
  /** Where the folder of the run is made. */
  readonly output?: string;
}

/** Where folders of runs are made when nobody says where. */
export const RUNS_FOLDER = "runs";

export interface OpenedFlow {
  readonly flow: CheckedFlow;
  /** The values that were given, and the defaults; without what is still missing. */
  readonly inputs: Readonly<Record<string, InputValue>>;
  readonly config: Config;
  readonly refusals: readonly RuleFault[];
  /** The folder of its file, absolute. */
  readonly base: string;
  /** The absolute path of a binary. @throws {InvalidInputError} */
  readonly binaryOf: (name: string) => string;
  readonly agents: Readonly<Record<string, KeptAgent>>;
}

/**
 * `toRun`: in the folder of runs that is named, or the usual one; else what a flow leaves itself is taken to be allowed, for
 * nobody knows yet where that will lie. @throws {InvalidInputError} with every fault of the file, the configuration and what is set
 */
export async function openFlow(
  path: string,
  flags: FlowFlags,
  { io, toRun }: { readonly io: Io; readonly toRun: boolean },
): Promise<OpenedFlow> {
  const absolute = resolveFrom(io.cwd, path);
  const config = loadConfig({
    ...(flags.config === undefined ? {} : { file: flags.config }),
    env: io.env,
    cwd: io.cwd,
  });
  const loaded = await loadFlowFile(absolute, path, profileNames(config.profiles));
  if (loaded.kind === "faulty") throw new InvalidInputError(`flow ${path}`, loaded.faults);
  const { flow } = loaded;
  const inputs = givenInputs(flow, flags.set ?? []);
  const binaryOf = (name: string) =>
    resolveBinary(name, { where: "command", cwd: dirname(absolute), path: io.env["PATH"] });
  const binaryPath = (name: string) => (name.includes("/") ? undefined : quietly(() => binaryOf(name)));
  const runs = toRun || flags.output !== undefined ? resolveFrom(io.cwd, flags.output ?? RUNS_FOLDER) : undefined;
  const { agents } = config;
  const inPlace = Object.fromEntries(
    Object.entries(agents).map(([name, { command }]) => {
      const [binary = "", ...words] = command;
      return [name, [quietly(() => binaryOf(binary)) ?? binary, ...words]] as const;
    }),
  );
  return {
    flow,
    inputs,
    agents,
    config,
    base: dirname(absolute),
    binaryOf,
    refusals: policyFaults(flow, config.allow, {
      ...{ inputs, binaryPath, agents: inPlace, runs },
      profiles: profilesOf(flow, config.profiles),
    }),
  };
}

/** More would hide the first ones. */
const MAX_REFUSALS = 100;

/** @throws {PolicyError} with the refusals */
export function requireAllowed({ refusals }: OpenedFlow): void {
  if (refusals.length === 0) return;
  const more = refusals.length - MAX_REFUSALS;
  const last = { where: "the flow", expected: "no refusals", found: `${more} more` };
  throw new PolicyError(more > 0 ? [...refusals.slice(0, MAX_REFUSALS), last] : refusals);
}

/** @throws {InvalidInputError} naming the inputs that nobody has given */
export function requireInputs({ flow, inputs }: OpenedFlow): void {
  const resolved = resolveInputs(flow.document, inputs);
  if (resolved.kind === "faulty") throw new InvalidInputError("inputs of the flow", asSet(resolved.faults));
}

/** The texts of `--set` by their names; what is no such text is a fault. */
export function parseSet(set: readonly string[]): { given: Record<string, string>; faults: Fault[] } {
  const given: Record<string, string> = {};
  const faults: Fault[] = [];
  for (const entry of set) {
    const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)=([\s\S]*)$/.exec(entry) ?? [];
    if (name === undefined || value === undefined || name === "__proto__") {
      faults.push({ where: "--set", expected: "NAME=VALUE", found: JSON.stringify(entry) });
    } else given[name] = value;
  }
  return { given, faults };
}

/** The values of `--set`, and the defaults. @throws {InvalidInputError} */
export function givenInputs(flow: CheckedFlow, set: readonly string[]): Record<string, InputValue> {
  const { given, faults } = parseSet(set);
  const { inputs } = flow.document;
  // Those without a value may still be missing when a flow is only looked at.
  const asked = Object.fromEntries(
    Object.entries(inputs).filter(([name, input]) => Object.hasOwn(given, name) || input.default !== undefined),
  );
  const open = Object.keys(given).every((name) => Object.hasOwn(inputs, name)) ? asked : inputs;
  const resolved = resolveInputs({ inputs: open }, given);
  if (resolved.kind === "faulty") faults.push(...asSet(resolved.faults));
  if (faults.length > 0 || resolved.kind === "faulty") throw new InvalidInputError("command line", faults);
  return resolved.values;
}

/** Faults of inputs as faults of `--set`. */
export function asSet(faults: readonly Fault[]): Fault[] {
  return faults.map(({ where, expected, found }) => ({ where: `--set ${where}`, expected, found }));
}

function quietly(work: () => string): string | undefined {
  try {
    return work();
  } catch {
    // That it is not there is told by the refusal, which names it.
    return undefined;
  }
}
