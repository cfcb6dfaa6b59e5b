/** What a run would do, found out without starting anything. A new run needs no Redis and no store for that. */
import { join } from "node:path";
import type { FileEntry } from "../../contract/files.ts";
import { outputNameFor } from "../../contract/output-names.ts";
import { parseRunSpec } from "../../contract/run-request.ts";
import { expand, INPUTS, outputFromOf, pathPlaceholders } from "../../contract/template.ts";
import { exitCodes, messageOf } from "../../contract/errors.ts";
import type { Outcome } from "../../contract/outcomes.ts";
import type { LiveRun } from "../../platform/run-hash.ts";
import { openSource, type SourceDeps } from "../../platform/scan/source.ts";
import { isScannedFile, type ScanProblem } from "../../platform/scan/scan-batch.ts";
import type { FileTable } from "../../store/store.ts";
import { NumberedInputs } from "../../worker/executor/numbered-inputs.ts";
import type { Foreseen, ResumeForecast } from "../../worker/resume-forecast.ts";
import { formatCommand } from "../../contract/command-text.ts";
import { formatBytes, formatCount, oneLine, plural } from "../format.ts";
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
  /** Of a run that would be begun anew. */
  readonly resume?: ResumeCounts;
}

/** Files whose earlier results still hold, and why the others would run. */
export interface ResumeCounts {
  readonly run: string;
  readonly reused: number;
  readonly new: number;
  readonly changed: number;
  readonly failedBefore: number;
  readonly cancelledBefore: number;
}

/** A run of which is asked what it would do with its inputs. */
export interface InputsInHand {
  readonly run: LiveRun;
  /** Of a list that the specification has not itself. */
  readonly pages?: SourceDeps["pages"];
  readonly files: Pick<FileTable, "get" | "lastIndex">;
  /** Of a run that would be begun anew; without it all inputs are new. */
  readonly forecast?: Pick<ResumeForecast, "of">;
}

/** A run that is not there has no rows. */
const noRows: InputsInHand["files"] = {
  get: () => Promise.resolve([]),
  lastIndex: () => Promise.resolve(undefined),
};

/** Tells what the plan would do; what the shell gets. */
export function tellDryRun(plan: RunPlan, io: Io, isJson: boolean): Promise<number> {
  return tellInputs(inHand(plan), io, isJson);
}

/** The same of any run. */
export async function tellInputs(inputs: InputsInHand, io: Io, isJson: boolean): Promise<number> {
  const { spec } = inputs.run;
  const result = await planInputs(inputs, isJson ? TOLD_COMMANDS : SHOWN_COMMANDS);
  if (isJson) printJson(io, { dryRun: true, ...result });
  else print(io, dryRunText(result, spec, outStyle(io)));
  const { files, skipped, problems, resume } = result;
  if (files + skipped + problems.count + (resume?.reused ?? 0) === 0) say(io, noFilesText(spec));
  return problems.count === 0 ? exitCodes.ok : exitCodes.someFailed;
}

/** `mostCommands`: no more of them are in the answer; what is left out is told by their number. */
export function planDryRun(plan: Pick<RunPlan, "spec" | "list">, mostCommands: number): Promise<DryRun> {
  return planInputs(inHand(plan), mostCommands);
}

function inHand({ spec, list }: Pick<RunPlan, "spec" | "list">): InputsInHand {
  const run = { runId: DRY_RUN_ID, spec: parseRunSpec(spec), epoch: 0, state: "queued", createdAtMs: 0 } as const;
  return { run, files: noRows, ...(list !== undefined && { pages: list.pages() }) };
}

async function planInputs({ run, pages, files, forecast }: InputsInHand, mostCommands: number): Promise<DryRun> {
  const { input, output } = run.spec;
  const tally = new Tally(run, mostCommands, forecast !== undefined);
  const numbered = new NumberedInputs(files, run);
  const outside = output.from === "none" ? {} : { outputRoot: output.root };
  for await (const batch of openSource(input, { ...(pages && { pages }), ...outside })) {
    const entries = await numbered.of(batch);
    const found = entries.filter((entry) => isScannedFile(entry));
    const foreseen = await forecast?.of(found);
    for (const entry of entries) if (!isScannedFile(entry)) tally.problem(entry);
    for (const [at, file] of found.entries()) tally.file(file, foreseen?.[at]);
  }
  return tally.result();
}

/** Under which reason a file is counted that would run, by what became of it the last time. */
const reasons = {
  succeeded: "changed",
  failed: "failedBefore",
  quarantined: "failedBefore",
  cancelled: "cancelledBefore",
  // It was left out, so it never ran.
  skipped: "new",
} as const satisfies Record<Outcome, keyof ResumeCounts>;

class Tally {
  readonly #run: LiveRun;
  readonly #mostCommands: number;
  readonly #commands: PlannedCommand[] = [];
  readonly #examples: { path: string; message: string }[] = [];
  readonly #resume: { -readonly [K in keyof ResumeCounts]: ResumeCounts[K] } | undefined;
  #files = 0;
  #bytes = 0;
  #problems = 0;
  #skipped = 0;

  constructor(run: LiveRun, mostCommands: number, isResume: boolean) {
    this.#run = run;
    this.#mostCommands = mostCommands;
    const none = { reused: 0, new: 0, changed: 0, failedBefore: 0, cancelledBefore: 0 };
    this.#resume = isResume ? { run: run.runId, ...none } : undefined;
  }

  file(file: FileEntry, foreseen: Foreseen = { kind: "runs", before: undefined }): void {
    if (foreseen.kind === "fails") this.#note(file.path, foreseen.message);
    else if (foreseen.kind === "runs") this.#runs(file, foreseen.before);
    else if (this.#resume !== undefined) this.#resume.reused += 1;
  }

  #runs({ path, index, bytes }: FileEntry, before: Outcome | undefined): void {
    const { spec, runId } = this.#run;
    if (spec.output.from !== "results") {
      try {
        const name = outputNameFor(spec, path, index, runId);
        if (this.#commands.length < this.#mostCommands) this.#commands.push(this.#planned(path, index, name));
      } catch (error) {
        this.#note(path, messageOf(error));
        return;
      }
    }
    this.#files += 1;
    this.#bytes += bytes;
    if (this.#resume !== undefined) this.#resume[before === undefined ? "new" : reasons[before]] += 1;
  }

  problem({ path, message, outcome }: ScanProblem): void {
    if (outcome === "failed") this.#note(path, message);
    else this.#skipped += 1;
  }

  result(): DryRun {
    return {
      files: this.#files,
      bytes: this.#bytes,
      output: this.#run.spec.output.root,
      commands: this.#commands,
      commandsLeftOut: this.#run.spec.output.from === "results" ? 0 : this.#files - this.#commands.length,
      skipped: this.#skipped,
      problems: { count: this.#problems, examples: this.#examples },
      ...(this.#resume && { resume: this.#resume }),
    };
  }

  #note(path: string, message: string): void {
    this.#problems += 1;
    if (this.#examples.length < SHOWN_PROBLEMS) this.#examples.push({ path, message });
  }

  #planned(path: string, index: number, name: string): PlannedCommand {
    const input = join(this.#run.spec.input.root, path);
    const output = join(this.#run.spec.output.root, name);
    const values = {
      ...pathPlaceholders(path, index, this.#run.runId),
      input,
      input_file: input,
      output,
      output_file: output,
    };
    const command = this.#run.spec.command.map((argument) => (argument === INPUTS ? input : expand(argument, values)));
    return { input, command, output };
  }
}

/** The plan for people. */
function dryRunText(result: DryRun, spec: Pick<RunPlan["spec"], "command">, style: Style): string {
  const isCaptured = outputFromOf(spec.command) === "stdout";
  const lines = [
    `${style.bold(`${plural(result.files, "file")} would run`)}, ${formatBytes(result.bytes)}; nothing was started`,
    `  ${style.dim("output".padEnd(9))}${oneLine(result.output)}`,
    ...(result.resume === undefined ? [] : [`  ${style.dim("resume".padEnd(9))}${resumeText(result.resume)}`]),
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

function resumeText({ run, reused, ...counts }: ResumeCounts): string {
  const why = [
    `${formatCount(counts.new)} new`,
    `${formatCount(counts.changed)} changed`,
    `${formatCount(counts.failedBefore)} failed before`,
    ...(counts.cancelledBefore > 0 ? [`${formatCount(counts.cancelledBefore)} cancelled before`] : []),
  ];
  return `${run}: ${plural(reused, "file")} reused; those that would run: ${why.join(", ")}`;
}

function problemLines({ problems, skipped }: DryRun, style: Style): string[] {
  const left = skipped === 0 ? [] : ["", style.dim(`${plural(skipped, "input")} would be skipped`)];
  if (problems.count === 0) return left;
  const lines = [...left, "", style.red(`${plural(problems.count, "file")} would fail`)];
  for (const { path, message } of problems.examples) lines.push(`  ${oneLine(path)}: ${oneLine(message)}`);
  const more = problems.count - problems.examples.length;
  return more > 0 ? [...lines, style.dim(`  and ${plural(more, "more file")}`)] : lines;
}
