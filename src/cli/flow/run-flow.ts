/** `headroom run --flow`: the plan alone, what would run, or the run itself. */
import { exitCodes, InvalidInputError } from "../../contract/errors.ts";
import type { Invocation } from "../command-line.ts";
import { outStyle, print, printJson, type Io } from "../io.ts";
import { drawFlow, parsePlanFormat } from "./draw.ts";
import { flowDryRunText, planFlowDryRun } from "./dry-run.ts";
import { openFlow, requireAllowed, requireInputs, type FlowFlags, type OpenedFlow } from "./open-flow.ts";
import { startFlow } from "./start-flow.ts";

export interface RunFlowFlags extends FlowFlags {
  readonly planOnly?: boolean;
  readonly format?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
  readonly input?: string;
}

/** @throws {InvalidInputError} @throws {PolicyError} */
export async function runFlow(flags: RunFlowFlags, { io, childCommand }: Invocation): Promise<number> {
  refuseOthers(flags, childCommand);
  const format = parsePlanFormat(flags.format ?? "tree");
  const opened = await openFlow(flags.flow ?? "", flags, io);
  if (flags.planOnly === true) {
    print(io, await drawFlow(opened.flow, format, io));
    requireAllowed(opened);
    return exitCodes.ok;
  }
  requireInputs(opened);
  if (flags.dryRun === true) return dryRun(opened, flags, io);
  requireAllowed(opened);
  return startFlow(opened);
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
    ...(childCommand === undefined ? [] : ["a command behind --"]),
  ];
  if (others.length === 0) return;
  const expected = "no files and no command beside it: those are in its nodes";
  throw new InvalidInputError("command line", [{ where: "--flow", expected, found: others.join(" and ") }]);
}
