/** The command line: parses, runs one command, turns what it threw into a message and an exit code. */
import { Command } from "commander";
import { exitCodes } from "../contract/errors.ts";
import { keepHeapTight } from "../platform/heap.ts";
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
    const program = await createProgram(invocation, own[0]);
    await program.parseAsync([...own], { from: "user" });
    return invocation.exitCode;
  } catch (error) {
    return reportFailure(error, io);
  }
}

/** The commands that take another one behind `--`. */
const takesCommand: ReadonlySet<string> = new Set(["run", "calibrate", "add"]);

type MakeCommand = (invocation: Invocation) => Command;

/** All commands by the group that help shows them in; each is loaded when it is asked for, since all take a second. */
const groups: Readonly<Record<string, Readonly<Record<string, () => Promise<MakeCommand>>>>> = {
  "Files through a command:": {
    run: async () => (await import("./commands/run.ts")).runCommand,
    calibrate: async () => (await import("./commands/calibrate.ts")).calibrateCommand,
  },
  "Files through a model:": {
    infer: async () => (await import("./commands/infer.ts")).inferCommand,
    results: async () => (await import("./commands/results.ts")).resultsCommand,
    model: async () => (await import("./commands/model.ts")).modelCommand,
  },
  "Flows and goals:": {
    flow: async () => (await import("./commands/flow.ts")).flowCommand,
    validate: async () => (await import("./commands/flow.ts")).validateCommand,
    gates: async () => (await import("./commands/gates.ts")).gatesCommand,
    approve: async () => (await import("./commands/gates.ts")).approveCommand,
    refuse: async () => (await import("./commands/gates.ts")).refuseCommand,
    eval: async () => (await import("./commands/eval.ts")).evalCommand,
  },
  "Look and act:": {
    status: async () => (await import("./commands/status.ts")).statusCommand,
    top: async () => (await import("./commands/top.ts")).topCommand,
    runs: async () => (await import("./commands/runs.ts")).runsCommand,
    explain: async () => (await import("./commands/explain.ts")).explainCommand,
    scaling: async () => (await import("./commands/scaling.ts")).scalingCommand,
    report: async () => (await import("./commands/report.ts")).reportCommand,
    export: async () => (await import("./commands/export.ts")).exportCommand,
    learned: async () => (await import("./commands/learned.ts")).learnedCommand,
    cancel: async () => (await import("./commands/cancel.ts")).cancelCommand,
    retry: async () => (await import("./commands/retry.ts")).retryCommand,
    release: async () => (await import("./commands/release.ts")).releaseCommand,
    drain: async () => (await import("./commands/drain.ts")).drainCommand,
    queues: async () => (await import("./commands/queues.ts")).queuesCommand,
    limits: async () => (await import("./commands/limits.ts")).limitsCommand,
    profiles: async () => (await import("./commands/profiles.ts")).profilesCommand,
    rules: async () => (await import("./commands/rules.ts")).rulesCommand,
  },
  "Again and again:": {
    schedules: async () => (await import("./commands/schedules.ts")).schedulesCommand,
  },
  "Set up:": {
    doctor: async () => (await import("./commands/doctor.ts")).doctorCommand,
    config: async () => (await import("./commands/config.ts")).configCommand,
    backup: async () => (await import("./commands/backup.ts")).backupCommand,
    restore: async () => (await import("./commands/backup.ts")).restoreCommand,
  },
  "Processes:": {
    up: async () => (await import("./commands/up.ts")).upCommand,
    worker: async () => (await import("./commands/processes.ts")).workerCommand,
    scheduler: async () => (await import("./commands/processes.ts")).schedulerCommand,
    producer: async () => (await import("./commands/processes.ts")).producerCommand,
    board: async () => (await import("./commands/processes.ts")).boardCommand,
  },
};

/** The commands, ready to parse; with `only`, that one when there is such a command. */
export async function createProgram(invocation: Invocation, only?: string): Promise<Command> {
  const { io } = invocation;
  const program = new Command("headroom")
    .description("Runs a command over your files, on every machine you have, as fast as each has room for.")
    .version(packageVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "show help")
    .addHelpText("after", examples)
    .helpCommand("help [command]", "show help for a command");
  const isNone = only === "--version" || only === "-V";
  const isOne = isNone || Object.values(groups).some((commands) => only !== undefined && Object.hasOwn(commands, only));
  for (const [title, commands] of Object.entries(groups)) {
    program.commandsGroup(title);
    for (const [name, load] of Object.entries(commands)) {
      if (!isOne || name === only) program.addCommand((await load())(invocation));
    }
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
