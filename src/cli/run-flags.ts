/** The options of `run`: what each is called, what it means, and which setting of the configuration it overrides. */
import { Option, type Command } from "commander";
import { sandboxLevels, type SandboxLevel } from "../contract/allow.ts";
import { InvalidInputError } from "../contract/errors.ts";
import type { Setting } from "../platform/config-environment.ts";
import { flowOptions } from "./flow/flow-options.ts";
import { goalOptions, type GoalFlags } from "./plan/goal-flags.ts";

/** As commander hands them over. Texts are checked where the configuration is. */
export interface RunFlags extends GoalFlags {
  /** Of `infer` alone, these three. */
  readonly model?: string;
  readonly schema?: string;
  readonly maxAnswerTokens?: string;
  readonly input?: string;
  readonly null?: boolean;
  readonly output?: string;
  readonly name?: string;
  readonly maxProcesses?: string;
  readonly memoryThreshold?: string;
  readonly cpuThreshold?: string;
  readonly timeout?: string;
  readonly attempts?: string;
  readonly profile?: string;
  readonly memory?: string;
  readonly cpus?: string;
  readonly label?: readonly string[];
  readonly chunkFiles?: string;
  readonly chunkBytes?: string;
  readonly maxFailures?: string;
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly symlinks?: string;
  readonly hidden?: boolean;
  readonly successCodes?: string;
  readonly allowEmpty?: boolean;
  readonly check?: string;
  readonly env?: readonly string[];
  readonly priority?: string;
  readonly sandbox?: SandboxLevel;
  readonly network?: boolean;
  readonly title?: string;
  readonly dryRun?: boolean;
  readonly resume?: string;
  readonly detach?: boolean;
  readonly flow?: string;
  readonly from?: readonly string[];
}

const collect = (value: string, earlier: readonly string[] = []): readonly string[] => [...earlier, value];

/** The last of several would win, and the others be forgotten without a word. */
const onlyOne =
  (where: string) =>
  (value: string, earlier: string | undefined): string => {
    if (earlier === undefined) return value;
    const found = `${JSON.stringify(earlier)} and ${JSON.stringify(value)}`;
    throw new InvalidInputError("command line", [{ where, expected: "it once", found }]);
  };

interface Group {
  readonly heading: string;
  readonly options: readonly Option[];
}

const COMMAND_HEADING = "The command:";
const FLOW_HEADING = "A flow:";
const GOAL_HEADING = "A goal, or a plan that was kept:";
/** Those of the command line are no options of a model. */
const ofRunAlone: ReadonlySet<string> = new Set([COMMAND_HEADING, FLOW_HEADING, GOAL_HEADING]);

function placeOptions(): readonly Option[] {
  return [
    new Option("-i, --input <path>", "folder, glob or file; - reads a list of files from standard input").argParser(
      onlyOne("--input"),
    ),
    new Option("-0, --null", "names in the list end with NUL, as find -print0 writes them"),
    new Option("-o, --output <folder>", "where outputs go; made when it is not there").argParser(onlyOne("--output")),
  ];
}

function sandboxOptions(): readonly Option[] {
  return [
    new Option("--sandbox <level>", "shut its processes in: files, or strict (no network either)").choices(
      sandboxLevels,
    ),
    new Option("--network", "with --sandbox strict, leave it the network"),
  ];
}

/** In the order of the help. */
function optionGroups(): readonly Group[] {
  return [
    {
      heading: "Files:",
      options: [
        ...placeOptions(),
        new Option("-n, --name <template>", "name of an output (default: {dir}/{name}.output)"),
        new Option("--include <glob>", "take only files like this; may be repeated").argParser(collect),
        new Option("--exclude <glob>", "leave out files like this; may be repeated").argParser(collect),
        new Option("--symlinks <rule>", "skip, follow (inside the input) or refuse symbolic links"),
        new Option("--hidden", "take hidden files too"),
      ],
    },
    {
      heading: "Limits:",
      options: [
        new Option("-j, --max-processes <n>", "processes at once (default: as many as fit)"),
        new Option("--memory-threshold <percent>", "start nothing that would use more of the memory"),
        new Option("--cpu-threshold <percent>", "start nothing while more of the CPUs is in use"),
        new Option("--memory <size>", "memory that one process asks for, such as 512MiB"),
        new Option("--cpus <n>", "CPUs that one process asks for, such as 0.5"),
        new Option("--timeout <duration>", "time for one file, such as 30s or 1h30m"),
        new Option("--attempts <n>", "starts per file in all, when it fails"),
        new Option("--max-failures <n|p%>", "end the run when more files than this have failed"),
        new Option("--chunk-files <n>", "files per job at most"),
        new Option("--chunk-bytes <size>", "bytes per job at most"),
      ],
    },
    {
      heading: COMMAND_HEADING,
      options: [
        new Option("--success-codes <list>", "exit codes that mean success, such as 0,3"),
        new Option("--allow-empty", "an empty output is good"),
        new Option("--check <command>", "must exit 0 for an output to count; {output} is the file"),
        ...sandboxOptions(),
        new Option("-e, --env <name[=value]>", "set a variable, or hand on the worker's; may be repeated").argParser(
          collect,
        ),
      ],
    },
    {
      heading: "The run:",
      options: [
        new Option("-c, --config <file>", "configuration file; options override it"),
        new Option("--profile <name>", "resource class of the configuration"),
        new Option("--label <name>", "needs a worker with this label; may be repeated").argParser(collect),
        new Option("--priority <n>", "0 is first come, first served; higher waits for lower"),
        new Option("--title <text>", "what the run is called in lists and reports"),
        new Option("--dry-run", "show what would run, how many and where to; run nothing"),
        new Option("--resume <run>", "run again what is new, changed or unfinished of an earlier run"),
        new Option("-d, --detach", "enqueue and return; needs --redis or a running headroom up"),
        new Option("--json", "print one JSON object at the end"),
      ],
    },
    { heading: GOAL_HEADING, options: goalOptions() },
    { heading: FLOW_HEADING, options: flowOptions() },
  ];
}

/** The options of `run`, or those of them that `infer` has. */
export function addRunOptions(command: Command, which: "run" | "infer" = "run"): Command {
  for (const { heading, options } of optionGroups()) {
    if (which === "infer" && ofRunAlone.has(heading)) continue;
    command.optionsGroup(heading);
    for (const option of options) command.addOption(option);
  }
  return command.optionsGroup("The cluster:");
}

type SettingOf = readonly [flag: keyof RunFlags, where: string, ...path: string[]];

const numbers: readonly SettingOf[] = [
  ["maxProcesses", "--max-processes", "resources", "max_processes"],
  ["memoryThreshold", "--memory-threshold", "resources", "memory_threshold_percent"],
  ["cpuThreshold", "--cpu-threshold", "resources", "cpu_threshold_percent"],
  ["chunkFiles", "--chunk-files", "chunk", "max_files"],
];
const values: readonly SettingOf[] = [
  ["output", "--output", "directories", "output"],
  ["name", "--name", "output", "name"],
  ["timeout", "--timeout", "limits", "timeout_seconds"],
  ["maxFailures", "--max-failures", "limits", "max_failures"],
  ["profile", "--profile", "profile"],
  ["chunkBytes", "--chunk-bytes", "chunk", "max_bytes"],
  ["include", "--include", "input", "include"],
  ["exclude", "--exclude", "input", "exclude"],
  ["symlinks", "--symlinks", "input", "symlinks"],
  ["hidden", "--hidden", "input", "hidden"],
  ["allowEmpty", "--allow-empty", "output", "allow_empty"],
];
/** The failure classes that are the file's own: `--attempts` is about them, and about no other. */
const ownFaults = ["exit", "signal", "timeout", "bad-output"] as const;

/** What the options and the command behind `--` change in the configuration. */
export function settingsOf(flags: RunFlags, childCommand: readonly string[] | undefined): Setting[] {
  const settings: Setting[] = [];
  for (const [flag, where, ...path] of numbers) {
    const text = flags[flag];
    if (typeof text === "string") settings.push({ path, where, value: numberOrText(text) });
  }
  for (const [flag, where, ...path] of values) {
    const value = flags[flag];
    if (value !== undefined) settings.push({ path, where, value });
  }
  // The list for standard input is no path, and a glob is none either: the input is read after the merge.
  if (flags.input !== undefined)
    settings.push({ path: ["directories", "input"], where: "--input", value: flags.input });
  if (flags.attempts !== undefined) {
    const value = numberOrText(flags.attempts);
    for (const name of ownFaults) settings.push({ path: ["retry", name, "attempts"], where: "--attempts", value });
  }
  if (flags.successCodes !== undefined) {
    const value = flags.successCodes.split(",").map((code) => numberOrText(code.trim()));
    settings.push({ path: ["success_exit_codes"], where: "--success-codes", value });
  }
  if (flags.check !== undefined) {
    settings.push({ path: ["output", "check"], where: "--check", value: splitWords(flags.check) });
  }
  const [path, ...arguments_] = childCommand ?? [];
  if (path !== undefined) settings.push({ path: ["binary"], where: "command", value: { path, flags: arguments_ } });
  return settings;
}

/** A number where the text is one; the schema refuses the rest, and shows it. */
function numberOrText(text: string): number | string {
  return /^-?\d+(?:\.\d+)?$/.test(text) ? Number(text) : text;
}

/** Words between spaces; quotes keep spaces. There is no shell: nothing else is special. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  for (const [all] of text.matchAll(/(?:[^\s"']|"[^"]*"|'[^']*')+|["']/g)) {
    if (all === '"' || all === "'") {
      const fault = { where: "--check", expected: `${all} to be closed`, found: JSON.stringify(text) };
      throw new InvalidInputError("command line", [fault]);
    }
    words.push(
      all.replace(
        /"([^"]*)"|'([^']*)'/g,
        (_quoted, double: string | undefined, single: string | undefined) => double ?? single ?? "",
      ),
    );
  }
  return words;
}
