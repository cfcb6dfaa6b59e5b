/** Writes the report of an ended run below the data folder, each file whole or not at all. */
import { readdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { RunReport } from "../../contract/run-record.ts";
import { makeFolders } from "../../platform/make-folders.ts";
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
  for (const name of ["report.md", "report.json"]) rmSync(join(folder, name), { force: true });
  if (isEmpty(folder)) rmdirSync(folder);
}

function folderOf(home: string, runId: string): string {
  return join(home, "runs", runId);
}

function isEmpty(folder: string): boolean {
  try {
    return readdirSync(folder).length === 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}

/** The worker that ended the run and who follows it may write the same at the same time. */
function replaceFile(path: string, text: string): void {
  const draft = `${path}.${process.pid}.new`;
  writeFileSync(draft, text, { mode: 0o600 });
  renameSync(draft, path);
}

/** Where the report of a run is, written here unless it has one: a flow has its own folder. */
export function reportFolderOf(report: RunReport, home: string): string {
  return report.flow === undefined ? writeReportFiles(home, report) : dirname(report.output);
}
