/** `headroom run`: a command over files, from enqueuing to the report. */
import type { Command } from "commander";
import { InvalidInputError } from "../../contract/errors.ts";
import { act, addPlaceOptions, describeCommand, type Invocation } from "../command-line.ts";
import { addRunOptions, type RunFlags } from "../run-flags.ts";
import { runFiles } from "../run/session.ts";
import { runFlowOrGoal } from "../run/other-runs.ts";

const examples = [
  "headroom run --input photos --output thumbs -- convert {input} -resize 200x {output}",
  "headroom run -i 'logs/**/*.gz' -o counts -- sh -c 'zcat \"$1\" | wc -l' sh {input}",
  "find . -name '*.wav' -print0 | headroom run -i - -o text -- transcribe --out={output} {input}",
  "headroom run --config run.yaml --max-processes 4",
  "headroom run --flow flow.yaml --set folder=photos --plan-only",
  "headroom run --resume RUN",
  "headroom run --goal 'digests of all files below /data/in' --config headroom.yaml --approve",
];
const placeholders = `
Placeholders of the command:
  {input} {input_file}    path of the file          {dir} {name} {stem} {ext}  parts of it, below the input
  {output} {output_file}  where to write the output {index}  number of the file, from 0
  {inputs}                many files in one call    {run}    id of the run
Without {output}, what the command prints is the output.
Exit codes: 0 all succeeded, 1 some files failed, 2 usage or configuration, 3 infrastructure, 130 interrupted.
`;

export function runCommand(invocation: Invocation): Command {
  const command = describeCommand("run", "run a command over files", examples)
    .usage("--input PATH --output FOLDER [options] -- COMMAND [ARG...]")
    .addHelpText("after", placeholders)
    .allowExcessArguments(true);
  addPlaceOptions(addRunOptions(command));
  return command.action(
    act(invocation, async (flags: RunFlags, parsed: Command) => {
      refuseStrayWords(parsed.args);
      return (await runFlowOrGoal(flags, invocation)) ?? runFiles(flags, invocation);
    }),
  );
}

/** A forgotten `--` is the likely slip. */
function refuseStrayWords(words: readonly string[]): void {
  if (words.length === 0) return;
  const expected = "-- in front of the command";
  throw new InvalidInputError("command line", [{ where: "run", expected, found: JSON.stringify(words.join(" ")) }]);
}
