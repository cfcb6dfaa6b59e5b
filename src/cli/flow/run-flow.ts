/** `headroom run --flow`: the plan alone, what would run, or the run itself. */
import { exitCodes, InvalidInputError } from "../../contract/errors.ts";
import type { Invocation } from "../command-line.ts";
import { outStyle, print, printJson, type Io } from "../io.ts";
import { drawFlow, parsePlanFormat } from "./draw.ts";
import { flowDryRunText } from "./dry-run-text.ts";
import { planFlowDryRun } from "../../platform/flow/dry-run.ts";
import { openFlow, requireAllowed, requireInputs, type FlowFlags, type OpenedFlow } from "./open-flow.ts";
import type { RunFlags } from "../run-flags.ts";
import { openRunPlace } from "../run/run-place.ts";
import { startFlow } from "./start-flow.ts";

export type RunFlowFlags = FlowFlags & RunFlags;

/** @throws {InvalidInputError} @throws {PolicyError} */
export async function runFlow(flags: RunFlowFlags, invocation: Invocation): Promise<number> {
  const { io, childCommand } = invocation;
  refuseOthers(flags, childCommand);
  const format = parsePlanFormat(flags.format ?? "tree");
  const opened = await openFlow(flags.flow ?? "", flags, { io, toRun: flags.planOnly !== true });
  if (flags.planOnly === true) {
    print(io, await drawFlow(opened.flow, format, io));
    requireAllowed(opened);
    return exitCodes.ok;
  }
  requireInputs(opened);
  if (flags.dryRun === true) return dryRun(opened, flags, io);
  requireAllowed(opened);
  const { flow, inputs, base, config } = opened;
  const place = openRunPlace({ flags, io, childCommand: undefined }, config);
  return (await startFlow({ flow, inputs, base, config, io, place, flags, output: flags.output })).exitCode;
}

function dryRun(opened: OpenedFlow, flags: RunFlowFlags, io: Io): number {
  const result = planFlowDryRun(opened);
  if (flags.json === true) printJson(io, { dryRun: true, ...result });
  else print(io, flowDryRunText(result, outStyle(io)));
  requireAllowed(opened);
  return result.nodes.some(({ problem }) => problem !== null) ? exitCodes.someFailed : exitCodes.ok;
}

/** Files and commands are those of its nodes. */
function refuseOthers(flags: RunFlowFlags, childCommand: Invocation["childCommand"]): void {
  const others = [
    ...(flags.input === undefined ? [] : ["--input"]),
    ...(flags.from === undefined ? [] : ["--from without --resume"]),
    ...(childCommand === undefined ? [] : ["a command behind --"]),
  ];
  if (others.length === 0) return;
  const expected = "no files and no command beside it: those are in its nodes";
  throw new InvalidInputError("command line", [{ where: "--flow", expected, found: others.join(" and ") }]);
}
