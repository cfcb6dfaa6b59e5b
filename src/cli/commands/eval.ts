/** `headroom eval`: scenarios against planners, with what they cost and how that has changed. */
import type { Command } from "commander";
import { act, addJsonOption, addPlaceOptions, describeCommand, type Invocation } from "../command-line.ts";
import type { EvalFlags } from "../eval/eval-flags.ts";

const notes = `
A scenario says what is asked, under which rules, and what must come of it; those of the package run offline.
Exit codes: 0 all runs passed, 1 some failed, 2 usage or configuration, 3 infrastructure, 130 interrupted.
`;

export function evalCommand(invocation: Invocation): Command {
  const command = describeCommand("eval", "try planners and flows on scenarios", [
    "headroom eval",
    "headroom eval scenarios/digests.yaml --config headroom.yaml --planner claude --repeats 5",
    "headroom eval --output now.json --against before.json",
  ])
    .argument("[scenario...]", "files or folders of scenarios (default: those of the package)")
    .addHelpText("after", notes)
    .option("-c, --config <file>", "configuration with the planners")
    .option("--planner <name>", "ask this planner of the configuration, whatever the scenarios say")
    .option("--repeats <n>", "runs of each scenario (default: as it says)")
    .option("--against <file>", "an earlier report, to be compared with")
    .option("-o, --output <file>", "keep the report as JSON");
  return addPlaceOptions(addJsonOption(command)).action(
    act(invocation, async (paths: readonly string[], flags: EvalFlags) => {
      const { runEval } = await import("../eval/run-eval.ts");
      return runEval(paths, flags, invocation.io);
    }),
  );
}
