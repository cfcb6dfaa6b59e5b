/** What a run would do, found out without Redis, without a store, without starting anything. */
import { join } from "node:path";
import { outputNameFor, needsNameCheck } from "../../contract/output-names.ts";
import { OutputNames } from "../../contract/output-name-set.ts";
import { printablePath } from "../../contract/path-bytes.ts";
import { parseRunSpec } from "../../contract/run-request.ts";
import type { RunSpec } from "../../contract/run-spec.ts";
import { expand, INPUTS, outputFromOf, pathPlaceholders } from "../../contract/template.ts";
import { exitCodes, messageOf } from "../../contract/errors.ts";
import { openSource } from "../../platform/scan/source.ts";
import { isScannedFile, type ScannedFile, type ScanProblem } from "../../platform/scan/scan-batch.ts";
import { formatCommand } from "../../contract/command-text.ts";
import { formatBytes, oneLine, plural } from "../format.ts";
import { outStyle, print, printJson, say, type Io } from "../io.ts";
import { noFilesText } from "../run-text.ts";
import type { Style } from "../style.ts";
import type { RunPlan } from "./run-plan.ts";

/** Commands that people are shown. */
const SHOWN_COMMANDS = 5;
/** Those that a program is told: as many as make an object that can be kept in memory. */
const TOLD_COMMANDS = 10_000;
const SHOWN_PROBLEMS = 10;
/** What `{run}` stands for while there is no run. */
const DRY_RUN_ID = "RUN";

export interface PlannedCommand {
  readonly input: string;
  readonly command: readonly string[];
  /** Where the output would be. */
  readonly output: string;
}

export interface DryRun {
  readonly files: number;
  readonly bytes: number;
  readonly output: string;
  /** Of the first files. */
  readonly commands: readonly PlannedCommand[];
  /** Files that would run, and whose commands are not among them. */
  readonly commandsLeftOut: number;
  /** Inputs that would be left out and counted, such as links that a list names. */
  readonly skipped: number;
  /** Inputs that would fail before they start: unreadable, no output name, or the name of another. */
  readonly problems: { readonly count: number; readonly examples: readonly { path: string; message: string }[] };
}

/** Tells what the plan would do; what the shell gets. */
export async function tellDryRun(plan: RunPlan, io: Io, isJson: boolean): Promise<number> {
  const result = await planDryRun(plan, isJson ? TOLD_COMMANDS : undefined);
  if (isJson) printJson(io, { dryRun: true, ...result });
  else print(io, dryRunText(result, plan.spec, outStyle(io)));
  if (result.files === 0 && result.skipped === 0 && result.problems.count === 0)
    say(io, noFilesText(parseRunSpec(plan.spec)));
  return result.problems.count === 0 ? exitCodes.ok : exitCodes.someFailed;
}

/** `mostCommands`: no more of them are in the answer; what is left out is told by their number. */
export async function planDryRun(plan: Pick<RunPlan, "spec" | "list">, mostCommands = SHOWN_COMMANDS): Promise<DryRun> {
  const spec = parseRunSpec(plan.spec);
  const tally = new Tally(spec, mostCommands);
  const { input } = spec;
  const pages = plan.list === undefined ? {} : { pages: plan.list.pages() };
  const source = openSource(input, { ...pages, outputRoot: spec.output.root });
  for await (const batch of source) {
    for (const entry of batch) {
      if (isScannedFile(entry)) tally.file(entry);
      else tally.problem(entry);
    }
  }
  return tally.result();
}

class Tally {
  readonly #spec: RunSpec;
  readonly #mostCommands: number;
  readonly #names: OutputNames | undefined;
  readonly #commands: PlannedCommand[] = [];
  readonly #examples: { path: string; message: string }[] = [];
  #files = 0;
  #bytes = 0;
  #problems = 0;
  #skipped = 0;
  #index = 0;

  constructor(spec: RunSpec, mostCommands: number) {
    this.#spec = spec;
    this.#mostCommands = mostCommands;
    this.#names = needsNameCheck(spec) ? new OutputNames() : undefined;
  }

  file({ path, bytes }: ScannedFile): void {
    const index = this.#index;
    this.#index += 1;
    if (this.#spec.output.from === "results") {
      this.#files += 1;
      this.#bytes += bytes;
      return;
    }
    let name: string;
    try {
      name = outputNameFor(this.#spec, path, index, DRY_RUN_ID);
    } catch (error) {
      this.#note(path, messageOf(error));
      return;
    }
    if (this.#names?.claim(name, index) !== undefined) {
      this.#note(path, `expected an output name of its own, found ${printablePath(name)} taken by another input`);
      return;
    }
    this.#files += 1;
    this.#bytes += bytes;
    if (this.#commands.length < this.#mostCommands) this.#commands.push(this.#planned(path, index, name));
  }

  problem({ path, message, outcome }: ScanProblem): void {
    this.#index += 1;
    if (outcome === "failed") this.#note(path, message);
    else this.#skipped += 1;
  }

  result(): DryRun {
    return {
      files: this.#files,
      bytes: this.#bytes,
      output: this.#spec.output.root,
      commands: this.#commands,
      commandsLeftOut: this.#spec.output.from === "results" ? 0 : this.#files - this.#commands.length,
      skipped: this.#skipped,
      problems: { count: this.#problems, examples: this.#examples },
    };
  }

  #note(path: string, message: string): void {
    this.#problems += 1;
    if (this.#examples.length < SHOWN_PROBLEMS) this.#examples.push({ path, message });
  }

  #planned(path: string, index: number, name: string): PlannedCommand {
    const input = join(this.#spec.input.root, path);
    const output = join(this.#spec.output.root, name);
    const values = {
      ...pathPlaceholders(path, index, DRY_RUN_ID),
      input,
      input_file: input,
      output,
      output_file: output,
    };
    const command = this.#spec.command.map((argument) => (argument === INPUTS ? input : expand(argument, values)));
    return { input, command, output };
  }
}

/** The plan for people. */
function dryRunText(result: DryRun, spec: Pick<RunPlan["spec"], "command">, style: Style): string {
  const isCaptured = outputFromOf(spec.command) === "stdout";
  const lines = [
    `${style.bold(`${plural(result.files, "file")} would run`)}, ${formatBytes(result.bytes)}; nothing was started`,
    `  ${style.dim("output".padEnd(9))}${oneLine(result.output)}`,
  ];
  if (spec.command.includes(INPUTS))
    lines.push(`  ${style.dim("calls".padEnd(9))}one per chunk; shown with one file each`);
  for (const { command, output } of result.commands) {
    lines.push("", `  ${formatCommand(command)}`);
    lines.push(`    ${style.dim(isCaptured ? "stdout →" : "output →")} ${oneLine(output)}`);
  }
  const more = result.commandsLeftOut;
  if (more > 0) lines.push("", style.dim(`  and ${plural(more, "more file")}`));
  return [...lines, ...problemLines(result, style), ""].join("\n");
}

function problemLines({ problems, skipped }: DryRun, style: Style): string[] {
  const left = skipped === 0 ? [] : ["", style.dim(`${plural(skipped, "input")} would be skipped`)];
  if (problems.count === 0) return left;
  const lines = [...left, "", style.red(`${plural(problems.count, "file")} would fail`)];
  for (const { path, message } of problems.examples) lines.push(`  ${oneLine(path)}: ${oneLine(message)}`);
  const more = problems.count - problems.examples.length;
  return more > 0 ? [...lines, style.dim(`  and ${plural(more, "more file")}`)] : lines;
}
