/** The report of an ended run as Markdown, for people who read it later or elsewhere. Pure. */
import type { RunReport } from "../contract/run-record.ts";
import { formatCommand } from "../contract/command-text.ts";
import { formatBytes, formatCount, formatDuration, formatTime, oneLine } from "./format.ts";
import { anomalyText, flowRows, summaryOf } from "./report-text.ts";

const SHOWN_ARTIFACTS = 20;

export function reportMarkdown(report: RunReport): string {
  const title = report.name === null ? report.id : `${oneLine(report.name)} (${report.id})`;
  return [
    `# Run ${escapeCell(title)}`,
    "",
    `**${summaryOf(report)}** in ${formatDuration(report.durationSeconds * 1_000)}.`,
    "",
    ...factsTable(report),
    ...outcomesTable(report),
    ...durationsTable(report),
    ...retriesTable(report),
    ...anomaliesSection(report),
    ...failuresSection(report),
    ...slowestTable(report),
    ...artifactsTable(report),
  ].join("\n");
}

function factsTable(report: RunReport): string[] {
  return table(
    "Facts",
    ["", ""],
    [
      ["state", report.state],
      ...whatFacts(report),
      ["output", `${code(oneLine(report.output))}, ${formatBytes(report.outputBytes)}`],
      ["started", formatTime(report.startedAtMs)],
      ["ended", formatTime(report.endedAtMs)],
      ["times resumed", String(report.epoch)],
      ["files per second", formatCount(report.filesPerSecond)],
      ["largest peak memory of a process", report.peakBytes === null ? "unknown" : formatBytes(report.peakBytes)],
      ["CPU time", formatDuration(report.cpuSeconds * 1_000)],
      ["late duplicates refused", formatCount(report.fenced)],
    ],
  );
}

function whatFacts(report: RunReport): (readonly [string, string])[] {
  if (report.flow !== undefined) return flowRows(report.flow).map(([name, text]) => [name, escapeCell(text)]);
  return [
    ["command", code(formatCommand(report.command))],
    ["input", `${code(oneLine(report.input))}, ${formatBytes(report.inputBytes)}`],
  ];
}

function outcomesTable({ files, reused, flow }: RunReport): string[] {
  const { succeeded, failed, skipped, cancelled, quarantined, total } = files;
  const rows = Object.entries({ succeeded, failed, skipped, cancelled, quarantined, total });
  const note =
    reused > 0 ? [`Of the succeeded files, ${formatCount(reused)} were unchanged and not run again.`, ""] : [];
  return [
    ...table(
      "Outcomes",
      ["outcome", flow === undefined ? "files" : "nodes"],
      rows.map(([name, count]) => [name, formatCount(count)]),
    ),
    ...note,
  ];
}

function anomaliesSection({ anomalies }: RunReport): string[] {
  if (anomalies === undefined || (anomalies.count === 0 && anomalies.drifts === 0)) return [];
  const drifts =
    anomalies.drifts === 0 ? [] : ["The command takes more than was learned of it, and is learned anew.", ""];
  return [
    "## Unusual processes",
    "",
    `${formatCount(anomalies.count)} took far more than others of this command.`,
    "",
    ...drifts,
    ...anomalies.examples.map((anomaly) => `- ${escapeCell(anomalyText(anomaly))}`),
    "",
  ];
}

function durationsTable({ durationMs }: RunReport): string[] {
  if (durationMs === null) return [];
  const { p50, p90, p99, max } = durationMs;
  return table("Duration per file", ["p50", "p90", "p99", "max"], [[p50, p90, p99, max].map(formatDuration)]);
}

function retriesTable({ retries }: RunReport): string[] {
  const rows = Object.entries(retries).map(([name, count]) => [name, formatCount(count)]);
  return rows.length === 0 ? [] : table("Retries", ["failure class", "retries"], rows);
}

function failuresSection({ failures }: RunReport): string[] {
  if (failures.length === 0) return [];
  const rows = failures.map((group) => [
    formatCount(group.files),
    group.failureClass,
    escapeCell(oneLine(group.message)),
    group.log === null ? "" : code(oneLine(group.log)),
    group.examples.map((path) => code(oneLine(path))).join(" "),
  ]);
  return table("Failures", ["files", "class", "message", "last line of the log", "examples"], rows);
}

function slowestTable({ slowest }: RunReport): string[] {
  if (slowest.length === 0) return [];
  const rows = slowest.map(({ path, durationMs, peakBytes }) => [
    code(oneLine(path)),
    durationMs === null ? "" : formatDuration(durationMs),
    peakBytes === null ? "" : formatBytes(peakBytes),
  ]);
  return table("Slowest files", ["file", "duration", "peak memory"], rows);
}

function artifactsTable({ artifacts }: RunReport): string[] {
  if (artifacts.count === 0) return [];
  const rows = artifacts.examples
    .slice(0, SHOWN_ARTIFACTS)
    .map(({ path, bytes, sha256 }) => [code(oneLine(path)), formatBytes(bytes), code(sha256)]);
  const more = artifacts.count - rows.length;
  const note = more > 0 ? [`And ${formatCount(more)} more: \`headroom export\` lists all of them.`, ""] : [];
  return [...table("Artifacts", ["output", "size", "SHA-256"], rows), ...note];
}

function table(title: string, head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [`## ${title}`, "", line(head), line(head.map(() => "---")), ...rows.map(line), ""];
}

/** A code span that its content cannot leave. */
function code(text: string): string {
  const runs = [...text.matchAll(/`+/g)].map((match) => match[0].length);
  const fence = "`".repeat(Math.max(0, ...runs) + 1);
  const padded = text.startsWith("`") || text.endsWith("`") ? ` ${text} ` : text;
  return `${fence}${padded.replaceAll("|", "\\|")}${fence}`;
}

function escapeCell(text: string): string {
  return text.replace(/[\\`*_<>[\]|#]/g, "\\$&");
}
