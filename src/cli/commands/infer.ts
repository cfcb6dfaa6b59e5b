/** `headroom infer`: a model over files, from enqueuing to the report. */
import { Option, type Command } from "commander";
import { InvalidInputError } from "../../contract/errors.ts";
import { act, addPlaceOptions, describeCommand, type Invocation } from "../command-line.ts";
import { addRunOptions, type RunFlags } from "../run-flags.ts";
import { planWithModel } from "../run/model.ts";
import { runFiles } from "../run/session.ts";

const notes = `
What the model says of all files is in results.jsonl in the output folder, one line per file, and in the store:
  headroom results RUN --label LABEL --min-confidence 0.8
Exit codes: 0 all succeeded, 1 some files failed, 2 usage or configuration, 3 infrastructure, 130 interrupted.
`;

export function inferCommand(invocation: Invocation): Command {
  const command = describeCommand("infer", "run an ONNX model over files", [
    "headroom infer --model models/filetype --input src --output kinds",
    "headroom infer --model models/filetype --input 'logs/**/*.txt' --output kinds --json",
    "headroom infer --model models/extract-llama --schema fields.json --input mails --output answers",
    "headroom infer --resume RUN",
  ])
    .usage("--model FOLDER --input PATH --output FOLDER [options]")
    .addHelpText("after", notes)
    .addOption(new Option("-m, --model <folder>", "folder of the model, with its model.yaml"))
    .addOption(new Option("--schema <file>", "JSON Schema of the answers, in the place of the model's own"))
    .addOption(new Option("--max-answer-tokens <n>", "with --schema, an answer that is longer fails its file"));
  addPlaceOptions(addRunOptions(command, "infer"));
  return command.action(
    act(invocation, (flags: RunFlags) => {
      if (flags.model === undefined && flags.resume === undefined) {
        const expected = "the folder of a model";
        throw new InvalidInputError("infer", [{ where: "--model", expected, found: "nothing" }]);
      }
      const { io } = invocation;
      return runFiles(flags, invocation, (plan, logger) => planWithModel(plan, { flags, io, logger }));
    }),
  );
}
