/** Writes the report of an ended run below the data folder, each file whole or not at all. */
import { randomBytes } from "node:crypto";
import { readdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { RunReport } from "../../contract/run-record.ts";
import { messageOf } from "../../contract/errors.ts";
import { makeFolders } from "../../platform/make-folders.ts";
import { say, type Io } from "../io.ts";
import { reportMarkdown } from "../report-markdown.ts";

/** `<home>/runs/<id>` with report.md and report.json in it; its path. */
export function writeReportFiles(home: string, report: RunReport): string {
  const folder = folderOf(home, report.id);
  makeFolders(folder);
  replaceFile(join(folder, "report.md"), reportMarkdown(report));
  replaceFile(join(folder, "report.json"), reportJson(report));
  return folder;
}

/** The text of report.json. */
export function reportJson(report: RunReport): string {
  return `${JSON.stringify(report, null, 2)}\n`;
}

/** Removes what `writeReportFiles` has written of the run. Whatever else lies in its folder stays. */
export function removeReportFiles(home: string, runId: string): void {
  const folder = folderOf(home, runId);
  const names = namesIn(folder);
  const own = names.filter((name) => /^report\.(?:md|json)(?:\.[0-9a-f]+\.new)?$/.test(name));
  for (const name of own) rmSync(join(folder, name), { force: true });
  if (names.length > 0 && own.length === names.length) rmdirSync(folder);
}

function folderOf(home: string, runId: string): string {
  return join(home, "runs", runId);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** The worker that ended the run and who follows it may write the same at the same time. */
function replaceFile(path: string, text: string): void {
  const draft = `${path}.${randomBytes(6).toString("hex")}.new`;
  writeFileSync(draft, text, { mode: 0o600 });
  renameSync(draft, path);
}

/** Where the report of a run is, written here unless it has one: a flow has its own folder. Undefined where no file can be. */
export function reportFolderOf(report: RunReport, home: string, io: Io): string | undefined {
  if (report.flow !== undefined) return dirname(report.output);
  try {
    return writeReportFiles(home, report);
  } catch (error) {
    // A report that can be read is not kept back for a disk that is full.
    say(io, `the files of the report could not be written: ${messageOf(error)}`);
    return undefined;
  }
}
