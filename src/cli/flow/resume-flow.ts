/** Begins an ended flow anew, as it was or with another file and other inputs. */
import type { Config } from "../../contract/config.ts";
import { InvalidInputError, PolicyError } from "../../contract/errors.ts";
import type { CheckedFlow } from "../../contract/flow-check.ts";
import { resolveInputs, type InputValue } from "../../contract/flow-inputs.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import { policyFaults } from "../../platform/flow/flow-policy-gate.ts";
import type { FlowSetting } from "../../platform/flow/stored-flow.ts";
import { ownRun } from "../../producer/own-run.ts";
import type { Cluster } from "../cluster.ts";
import type { Io } from "../io.ts";
import type { RunFlags } from "../run-flags.ts";
import { asSet, openFlow, parseSet } from "./open-flow.ts";
import { programsOf } from "../../platform/flow/programs.ts";

/** @throws {InvalidInputError} @throws {PolicyError} for what is changed */
export async function resumeFlow(
  { client }: Pick<Cluster, "client">,
  before: RunRecord,
  { flags, io, config }: { readonly flags: RunFlags; readonly io: Io; readonly config: Config },
): Promise<RunRecord> {
  ownRun(before, before.id);
  const kept = await client.flows.load(before.id);
  const { set = [], flow: file, from = [], config: settings } = flags;
  const options = settings === undefined ? {} : { config: settings };
  const opened = file === undefined ? undefined : await openFlow(file, options, { io, toRun: true });
  const flow = opened?.flow ?? kept.flow;
  const inputs = inputsOf(flow, kept.inputs, set);
  const programs = opened === undefined ? kept : programsOf(flow, config, opened.binaryOf);
  const { binaries, agents, profiles } = programs;
  const refusals = policyFaults(flow, config.allow, {
    ...{ inputs, agents, profiles, runs: kept.folder, binaryPath: (name: string) => binaries[name] },
  });
  if (refusals.length > 0) throw new PolicyError(refusals);
  return client.flows.resume(before, {
    from,
    flow,
    inputs,
    binaries,
    agents,
    profiles,
    base: opened?.base ?? kept.base,
  });
}

/** What is set, else what was set before. An input that the file has no more is nobody's. */
function inputsOf(
  { document }: CheckedFlow,
  kept: FlowSetting["inputs"],
  set: readonly string[],
): Readonly<Record<string, InputValue>> {
  const { given, faults } = parseSet(set);
  if (faults.length > 0) throw new InvalidInputError("command line", faults);
  const still = Object.entries(kept).filter(([name]) => Object.hasOwn(document.inputs, name));
  const resolved = resolveInputs(document, { ...Object.fromEntries(still), ...given });
  if (resolved.kind === "faulty") throw new InvalidInputError("inputs of the flow", asSet(resolved.faults));
  return resolved.values;
}
