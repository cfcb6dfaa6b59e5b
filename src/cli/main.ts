/** The command line: parses, runs one command, turns what it threw into a message and an exit code. */
import { Command } from "commander";
import { exitCodes } from "../contract/errors.ts";
import { keepHeapTight } from "../platform/heap.ts";
import { backupCommand, restoreCommand } from "./commands/backup.ts";
import { calibrateCommand } from "./commands/calibrate.ts";
import { cancelCommand } from "./commands/cancel.ts";
import { releaseCommand } from "./commands/release.ts";
import { configCommand } from "./commands/config.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { drainCommand } from "./commands/drain.ts";
import { evalCommand } from "./commands/eval.ts";
import { explainCommand } from "./commands/explain.ts";
import { exportCommand } from "./commands/export.ts";
import { approveCommand, gatesCommand, refuseCommand } from "./commands/gates.ts";
import { flowCommand, validateCommand } from "./commands/flow.ts";
import { inferCommand } from "./commands/infer.ts";
import { limitsCommand } from "./commands/limits.ts";
import { profilesCommand } from "./commands/profiles.ts";
import { rulesCommand } from "./commands/rules.ts";
import { boardCommand, producerCommand, schedulerCommand, workerCommand } from "./commands/processes.ts";
import { learnedCommand } from "./commands/learned.ts";
import { modelCommand } from "./commands/model.ts";
import { queuesCommand } from "./commands/queues.ts";
import { reportCommand } from "./commands/report.ts";
import { resultsCommand } from "./commands/results.ts";
import { retryCommand } from "./commands/retry.ts";
import { runCommand } from "./commands/run.ts";
import { runsCommand } from "./commands/runs.ts";
import { scalingCommand } from "./commands/scaling.ts";
import { schedulesCommand } from "./commands/schedules.ts";
import { statusCommand } from "./commands/status.ts";
import { topCommand } from "./commands/top.ts";
import { upCommand } from "./commands/up.ts";
import { refuseChildCommand, type Invocation } from "./command-line.ts";
import { reportFailure } from "./failure.ts";
import type { Io } from "./io.ts";
import { readSecretFiles } from "./secret-files.ts";
import { styleFor } from "./style.ts";
import { packageVersion } from "./version.ts";

const examples = `
Examples:
  headroom run --input photos --output thumbs -- convert {input} -resize 200x {output}
  headroom run --config run.yaml
  headroom up
  headroom status

Each command has its own examples: headroom COMMAND --help
`;

/** Runs the command line and resolves with the exit code. `argv` has no interpreter and no script in it. */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  const at = argv.indexOf("--");
  const own = at < 0 ? argv : argv.slice(0, at);
  // What stands behind `--` is the user's own command: no parser of ours ever sees it.
  const childCommand = at < 0 ? undefined : argv.slice(at + 1);
  try {
    const invocation: Invocation = {
      io: { ...io, env: readSecretFiles(io.env) },
      childCommand,
      exitCode: exitCodes.ok,
    };
    await createProgram(invocation).parseAsync([...own], { from: "user" });
    return invocation.exitCode;
  } catch (error) {
    return reportFailure(error, io);
  }
}

/** The commands that take another one behind `--`. */
const takesCommand: ReadonlySet<string> = new Set(["run", "calibrate", "add"]);

/** All commands, ready to parse. */
export function createProgram(invocation: Invocation): Command {
  const { io } = invocation;
  const program = new Command("headroom")
    .description("Runs a command over your files, on every machine you have, as fast as each has room for.")
    .version(packageVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "show help")
    .addHelpText("after", examples)
    .helpCommand("help [command]", "show help for a command");
  program.commandsGroup("Files through a command:");
  program.addCommand(runCommand(invocation)).addCommand(calibrateCommand(invocation));
  program.commandsGroup("Files through a model:");
  for (const make of [inferCommand, resultsCommand, modelCommand]) program.addCommand(make(invocation));
  program.commandsGroup("Flows and goals:");
  for (const make of [flowCommand, validateCommand, gatesCommand, approveCommand, refuseCommand, evalCommand]) {
    program.addCommand(make(invocation));
  }
  program.commandsGroup("Look and act:");
  for (const make of [statusCommand, topCommand, runsCommand, explainCommand, scalingCommand]) {
    program.addCommand(make(invocation));
  }
  for (const make of [reportCommand, exportCommand, learnedCommand]) program.addCommand(make(invocation));
  for (const make of [cancelCommand, retryCommand, releaseCommand, drainCommand, queuesCommand])
    program.addCommand(make(invocation));
  for (const make of [limitsCommand, profilesCommand, rulesCommand]) program.addCommand(make(invocation));
  program.commandsGroup("Again and again:");
  program.addCommand(schedulesCommand(invocation));
  program.commandsGroup("Set up:");
  for (const make of [doctorCommand, configCommand, backupCommand, restoreCommand])
    program.addCommand(make(invocation));
  program.commandsGroup("Processes:");
  for (const make of [upCommand, workerCommand, schedulerCommand, producerCommand, boardCommand]) {
    program.addCommand(make(invocation));
  }
  for (const command of everyCommand(program)) share(command, io);
  program.hook("preAction", (_program, action) => {
    if (!takesCommand.has(action.name())) refuseChildCommand(invocation, action.name());
  });
  return program;
}

function* everyCommand(command: Command): Generator<Command> {
  yield command;
  for (const below of command.commands) yield* everyCommand(below);
}

/** Where output goes, and that nothing ends the process but its caller. */
function share(command: Command, io: Io): void {
  const style = styleFor(io.stdout, io.env);
  command
    .exitOverride()
    .configureHelp({ styleTitle: style.bold, styleSubcommandText: style.cyan, styleOptionText: style.cyan })
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      outputError: (text, write) => {
        write(`headroom: ${text.replace(/^error: /, "")}`);
      },
    })
    .showSuggestionAfterError();
}

/** The whole process: streams, environment and exit code of this machine. */
export async function runProcess(): Promise<never> {
  keepHeapTight();
  const { stdin, stdout, stderr, env } = process;
  // A stream that breaks ends no work: who read along may leave, and the run goes on. What broke is told at the end.
  stderr.on("error", () => undefined);
  const failures: { first?: NodeJS.ErrnoException; last?: NodeJS.ErrnoException } = {};
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    failures.first ??= error;
    failures.last = error;
  });
  const isOutputFailure = (error: unknown) => error === failures.last;
  const code = await main(process.argv.slice(2), { stdin, stdout, stderr, env, cwd: process.cwd(), isOutputFailure });
  await flushed(stdout);
  const broken = brokenOutput(failures.first);
  if (broken !== undefined) stderr.write(`headroom: ${broken}\n`);
  await flushed(stderr);
  process.exit(broken !== undefined && code === exitCodes.ok ? exitCodes.infrastructure : code);
}

/** Why not all could be printed; undefined when all was, and when its reader has gone as `head` does: nobody is left to tell. */
function brokenOutput(failure: NodeJS.ErrnoException | undefined): string | undefined {
  if (failure === undefined || failure.code === "EPIPE") return undefined;
  return `standard output: expected room for all that is printed, found: ${failure.message}`;
}

function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write("", () => {
      resolve();
    });
  });
}
