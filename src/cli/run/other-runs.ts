/** Calls of `headroom run` that are about a flow or a goal. Each kind is loaded when it is wanted. */
import type { Invocation } from "../command-line.ts";
import { isAboutGoal } from "../plan/goal-flags.ts";
import { refuseFlowOptions } from "./refusals.ts";
import type { RunFlags } from "../run-flags.ts";

/** The exit code; undefined for a call that is about files. @throws {InvalidInputError} for options that do not go together */
export async function runFlowOrGoal(flags: RunFlags, invocation: Invocation): Promise<number | undefined> {
  if (isAboutGoal(flags, invocation.childCommand)) {
    const { runGoal } = await import("../plan/run-goal.ts");
    return runGoal(flags, invocation.io);
  }
  const isBegunAnew = flags.resume !== undefined && flags.planOnly !== true && flags.dryRun !== true;
  if (isBegunAnew) return undefined;
  if (flags.flow === undefined) {
    refuseFlowOptions(flags, flags.resume === undefined ? "a run over files" : "no --flow that names it");
    return undefined;
  }
  const { runFlow } = await import("../flow/run-flow.ts");
  return runFlow(flags, invocation);
}
