/** What every command shares: the options that say where, how an action ends, and the error for a stray word. */
import { Command, Option } from "commander";
import type { Allow } from "../contract/allow.ts";
import { exitCodes, InvalidInputError } from "../contract/errors.ts";
import type { Logger } from "../platform/logger.ts";
import type { Store } from "../store/store.ts";
import { openCluster, type Cluster } from "./cluster.ts";
import type { Io } from "./io.ts";
import { openLogFile } from "./log-file.ts";
import { logLevelOf, openPlace, type PlaceOptions } from "./settings.ts";

/** What the whole command line has in hand. */
export interface Invocation {
  readonly io: Io;
  /** Everything behind `--`, untouched; undefined when there was no `--`. */
  readonly childCommand: readonly string[] | undefined;
  /** What the shell gets when nothing throws. */
  exitCode: number;
}

/** A command with its examples, to which the options are added. */
export function describeCommand(name: string, summary: string, examples: readonly string[]): Command {
  const shown = examples.map((line) => `  ${line}`).join("\n");
  return new Command(name)
    .summary(summary)
    .description(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`)
    .addHelpText("after", `\nExamples:\n${shown}\n`);
}

export function addPlaceOptions(command: Command): Command {
  return command
    .addOption(new Option("--home <folder>", "data folder (env HEADROOM_HOME; default: the platform's data folder)"))
    .addOption(new Option("--redis <url>", "Redis of a cluster (env HEADROOM_REDIS_URL; default: an embedded one)"))
    .addOption(
      new Option("--store <url>", "sqlite:/file or postgres://… (env HEADROOM_STORE_URL; default: in the data folder)"),
    )
    .addOption(
      new Option(
        "--prefix <name>",
        "key prefix of the cluster in Redis (env HEADROOM_REDIS_PREFIX; default: headroom)",
      ),
    );
}

export function addJsonOption(command: Command): Command {
  return command.option("--json", "print JSON for programs");
}

/** Runs the action of a command and keeps its exit code. */
export function act<T extends unknown[]>(
  invocation: Invocation,
  action: (...parameters: T) => Promise<number | undefined>,
): (...parameters: T) => Promise<void> {
  return async (...parameters) => {
    invocation.exitCode = (await action(...withOptionsAbove(parameters))) ?? exitCodes.ok;
  };
}

/** An option that the command above knows too is taken by that one, wherever it stands: `limits set … --json`. */
function withOptionsAbove<T extends unknown[]>(parameters: T): T {
  // What is behind the options is not told to actions: the command itself.
  const command = parameters.at(-1);
  if (!(command instanceof Command)) return parameters;
  return [...parameters.slice(0, -2), command.optsWithGlobals(), command] as T;
}

/** Only `run` takes a command: elsewhere what stands behind `--` would be ignored. */
export function refuseChildCommand({ childCommand }: Invocation, name: string): void {
  if (childCommand === undefined) return;
  throw new InvalidInputError("command line", [
    { where: name, expected: "no command behind --", found: JSON.stringify(childCommand.join(" ")) },
  ]);
}

/** Opens the cluster of the options for one piece of work under these rules, with the log in the data folder, and closes it. */
export async function withCluster<T>(
  options: PlaceOptions,
  io: Io,
  work: (cluster: Cluster) => Promise<T>,
  allow: Allow = {},
): Promise<T> {
  const place = openPlace(options, io);
  const log = openLogFile(place.home, logLevelOf(io.env), { process: "cli" });
  try {
    await using cluster = await openCluster(place, log.logger, allow);
    return await work(cluster);
  } finally {
    log.flush();
  }
}

/** The same with the store alone, for commands that need no Redis. */
export async function withStore<T>(options: PlaceOptions, io: Io, work: (store: Store) => Promise<T>): Promise<T> {
  const place = openPlace(options, io);
  const log = openLogFile(place.home, logLevelOf(io.env), { process: "cli" });
  try {
    await using store = await openPlaceStore(place.storeUrl, log.logger);
    await store.migrate();
    return await work(store);
  } finally {
    log.flush();
  }
}

/** Not inside the block with `await using`: the compiler leaves the extension of an import there as it is. */
async function openPlaceStore(url: string, logger: Logger): Promise<Store> {
  const { openStore } = await import("../store/open-store.ts");
  return openStore(url, logger);
}
