/** The manifest of a run as programs read it: JSON lines, CSV (RFC 4180), and the job log of GNU parallel. */
import { constants } from "node:os";
import { join } from "node:path";
import type { FileResult } from "../contract/files.ts";
import { printablePath } from "../contract/path-bytes.ts";
import type { RunRecord } from "../contract/run-record.ts";
import { expand, INPUTS, pathPlaceholders } from "../contract/template.ts";
import { formatCommand } from "../contract/command-text.ts";

export const exportFormats = ["jsonl", "csv", "joblog"] as const;
export type ExportFormat = (typeof exportFormats)[number];

export interface ManifestWriter {
  /** The first line, with its newline; empty when the format has none. */
  readonly head: string;
  readonly row: (result: FileResult) => string;
}

/** The columns of the CSV, in order. */
const columns = [
  "index",
  "path",
  "outcome",
  "failureClass",
  "message",
  "exitCode",
  "signal",
  "attempts",
  "startedAtMs",
  "durationMs",
  "cpuMs",
  "peakBytes",
  "inputBytes",
  "inputSha256",
  "binarySha256",
  "argsSha256",
  "outputPath",
  "outputBytes",
  "outputSha256",
  "log",
  "workerId",
] as const satisfies readonly (keyof FileResult)[];
/** Columns that hold names of files: bytes that are no text are written as `\xHH`. */
const pathColumns: ReadonlySet<keyof FileResult> = new Set(["path", "outputPath"]);

const joblogColumns = ["Seq", "Host", "Starttime", "JobRuntime", "Send", "Receive", "Exitval", "Signal", "Command"];

/** What a writer needs to know of the run. */
export type ManifestRun = Pick<RunRecord, "id" | "spec">;

export function manifestWriter(format: ExportFormat, run: ManifestRun): ManifestWriter {
  switch (format) {
    case "jsonl":
      // Bytes of names that are no text come as lone surrogates, written as escapes: what is read back is the same name.
      return { head: "", row: (result) => `${JSON.stringify(result)}\n` };
    case "csv":
      return { head: `${columns.join(",")}\r\n`, row: csvRow };
    case "joblog":
      return { head: `${joblogColumns.join("\t")}\n`, row: (result) => joblogRow(result, run) };
  }
}

/** A name that is text stays as it is; only one that no reader of UTF-8 could take is escaped. */
function printable(path: string): string {
  return path.isWellFormed() ? path : printablePath(path);
}

function csvRow(result: FileResult): string {
  return csvLine(columns.map((name) => cellOf(result, name)));
}

/** By RFC 4180. */
export function csvLine(cells: readonly string[]): string {
  return `${cells.map(csvCell).join(",")}\r\n`;
}

function cellOf(result: FileResult, name: (typeof columns)[number]): string {
  const value = result[name];
  if (value === null) return "";
  return pathColumns.has(name) ? printable(String(value)) : String(value);
}

/** RFC 4180: quoted when it holds a comma, a quote or a line break, or begins or ends with a space. */
export function csvCell(text: string): string {
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function joblogRow(result: FileResult, run: ManifestRun): string {
  const cells = [
    String(result.index + 1),
    result.workerId ?? ":",
    ((result.startedAtMs ?? 0) / 1_000).toFixed(3),
    ((result.durationMs ?? 0) / 1_000).toFixed(3).padStart(10),
    String(result.inputBytes ?? 0),
    String(result.outputBytes ?? 0),
    String(exitValue(result)),
    String(signalNumber(result.signal)),
    formatCommand(expandForLog(run, result)),
  ];
  return `${cells.join("\t")}\n`;
}

/** A file that failed without an exit code of its own must not look like a success: parallel writes -1 for it. */
function exitValue(result: FileResult): number {
  if (result.exitCode !== null && (result.exitCode !== 0 || result.outcome === "succeeded")) return result.exitCode;
  return result.outcome === "succeeded" ? 0 : -1;
}

function signalNumber(signal: string | null): number {
  if (signal === null) return 0;
  const known: Readonly<Record<string, number>> = constants.signals;
  return known[signal] ?? 0;
}

function expandForLog({ id, spec }: ManifestRun, result: FileResult): string[] {
  const input = join(spec.input.root, result.path);
  const output = result.outputPath === null ? "" : join(spec.output.root, result.outputPath);
  const values = {
    ...pathPlaceholders(result.path, result.index, id),
    input,
    input_file: input,
    output,
    output_file: output,
  };
  return spec.command.map((argument) => (argument === INPUTS ? input : expand(argument, values)));
}
