/** `headroom flow`: checks and shows flow files. */
import { Option, type Command } from "commander";
import { exitCodes, FaultsError } from "../../contract/errors.ts";
import { flowJsonSchema } from "../../contract/flow-json-schema.ts";
import { act, addJsonOption, describeCommand, type Invocation } from "../command-line.ts";
import { formatOption, setOption } from "../flow/flow-options.ts";
import type { FlowFlags } from "../flow/open-flow.ts";
import type { RunFlowFlags } from "../flow/run-flow.ts";
import { print, printJson } from "../io.ts";

interface ValidateFlags extends FlowFlags {
  readonly json?: boolean;
}

const configOption = () => new Option("-c, --config <file>", "configuration file, whose policy the flow must pass");

export function flowCommand(invocation: Invocation): Command {
  return describeCommand("flow", "check and show flow files", [
    "headroom flow validate flow.yaml",
    "headroom flow plan flow.yaml --format svg > flow.svg",
    "headroom flow schema > flow.schema.json",
  ])
    .addCommand(checkCommand("validate", "headroom flow validate flow.yaml", invocation))
    .addCommand(planCommand(invocation))
    .addCommand(schemaCommand(invocation));
}

/** The same as `flow validate`. */
export function validateCommand(invocation: Invocation): Command {
  return checkCommand("validate", "headroom validate flow.yaml", invocation);
}

function checkCommand(name: string, example: string, invocation: Invocation): Command {
  const command = describeCommand(name, "check a flow file and report every fault", [
    example,
    `${example} --config headroom.yaml`,
  ])
    .argument("<file>", "flow file")
    .addOption(configOption());
  return addJsonOption(command).action(
    act(invocation, (file: string, flags: ValidateFlags) => check(file, flags, invocation)),
  );
}

async function check(file: string, flags: ValidateFlags, { io }: Invocation): Promise<number> {
  // What reads flows is loaded when one is read: every command line makes this command.
  const { openFlow, requireAllowed } = await import("../flow/open-flow.ts");
  const { planHash } = await import("../../platform/flow/plan-hash.ts");
  try {
    const opened = await openFlow(file, flags, { io, toRun: false });
    requireAllowed(opened);
    const { nodeCount, depth, width } = opened.flow;
    if (flags.json !== true) print(io, `${file} is valid`);
    else printJson(io, { file, valid: true, hash: planHash(opened.flow), nodes: nodeCount, depth, width, faults: [] });
    return exitCodes.ok;
  } catch (error) {
    if (!(error instanceof FaultsError) || flags.json !== true) throw error;
    printJson(io, { file, valid: false, faults: error.faults });
    return error.exitCode;
  }
}

function planCommand(invocation: Invocation): Command {
  return describeCommand("plan", "draw a flow", [
    "headroom flow plan flow.yaml",
    "headroom flow plan flow.yaml --format mermaid",
  ])
    .argument("<file>", "flow file")
    .addOption(setOption())
    .addOption(configOption())
    .addOption(formatOption())
    .action(
      act(invocation, async (file: string, flags: RunFlowFlags) => {
        const { runFlow } = await import("../flow/run-flow.ts");
        return runFlow({ ...flags, flow: file, planOnly: true }, invocation);
      }),
    );
}

function schemaCommand(invocation: Invocation): Command {
  return describeCommand("schema", "print the JSON Schema, for editors", [
    "headroom flow schema > flow.schema.json",
  ]).action(
    act(invocation, () => {
      printJson(invocation.io, flowJsonSchema());
      return Promise.resolve(undefined);
    }),
  );
}
