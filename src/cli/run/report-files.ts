/** Writes the report of an ended run below the data folder, whole or not at all. */
import { renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { RunReport } from "../../contract/run-record.ts";
import { makeFolders } from "../../platform/make-folders.ts";
import { reportMarkdown } from "../report-markdown.ts";

/** `<home>/runs/<id>` with report.md and report.json in it; its path. */
export function writeReportFiles(home: string, report: RunReport): string {
  const folder = join(home, "runs", report.id);
  makeFolders(folder);
  replaceFile(join(folder, "report.md"), `${reportMarkdown(report)}\n`);
  replaceFile(join(folder, "report.json"), `${JSON.stringify(report, null, 2)}\n`);
  return folder;
}

function replaceFile(path: string, text: string): void {
  const draft = `${path}.new`;
  writeFileSync(draft, text, { mode: 0o600 });
  renameSync(draft, path);
}

/** Where the report of a run is, written here unless it has one: a flow has its own folder. */
export function reportFolderOf(report: RunReport, home: string): string {
  return report.flow === undefined ? writeReportFiles(home, report) : dirname(report.output);
}
