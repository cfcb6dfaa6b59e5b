/** The report of an ended run, for the terminal. Pure. */
import type { FlowReport, RunAnomaly, RunReport } from "../contract/run-record.ts";
import { formatCommand } from "../contract/command-text.ts";
import { formatBytes, formatCount, formatDuration, formatRate, oneLine, plural, truncate } from "./format.ts";
import type { Style } from "./style.ts";

const SHOWN_FAILURES = 5;
const SHOWN_EXAMPLES = 3;
const SHOWN_LABELS = 6;
const SHOWN_STEPS = 6;
const SHOWN_VALUE_CHARS = 200;
const LABEL_COLUMNS = 11;

export interface ReportTextOptions {
  readonly style: Style;
  /** Where report.md and report.json are. */
  readonly reportFolder?: string;
  /** What happened to the run beside its files, such as why it is broken. */
  readonly message?: string | null;
}

/** The report as lines; the headline first. */
export function reportText(report: RunReport, { style, reportFolder, message }: ReportTextOptions): string {
  const rows: (readonly [string, string])[] = [
    ["run", report.name === null ? report.id : `${report.id}  ${oneLine(report.name)}`],
    ...whatRow(report),
    ...inputRow(report, style),
    ...outputRow(report, style),
    ...labelsRow(report),
    ...durationRow(report),
    ...memoryRow(report),
    ...retriesRow(report),
    ...anomaliesRow(report),
    ...(report.fenced > 0 ? [["fenced", `${plural(report.fenced, "late duplicate")} refused`] as const] : []),
    ...(message == null ? [] : [["message", oneLine(message)] as const]),
    ...(reportFolder === undefined ? [] : [["report", `${reportFolder}/report.md`] as const]),
  ];
  const lines = rows.map(([label, text]) => `  ${style.dim(label.padEnd(LABEL_COLUMNS))}${text}`);
  return [headline(report, style), ...lines, ...failureLines(report, style), ""].join("\n");
}

function headline(report: RunReport, style: Style): string {
  const { state } = report;
  const seconds = formatDuration(report.durationSeconds * 1_000);
  const rate =
    report.filesPerSecond > 0 && state !== "cancelled" ? `  ${style.dim(formatRate(report.filesPerSecond))}` : "";
  const mark = state === "succeeded" ? style.green("✓") : state === "cancelled" ? style.yellow("■") : style.red("✗");
  const what = summaryOf(report);
  return `${mark} ${style.bold(what)} in ${seconds}${rate}`;
}

type SummarizedReport = Pick<RunReport, "files" | "state" | "flow" | "isScanned">;

/** `12 files succeeded`, `3 of 12 files failed`, `run cancelled, 4 of 12 files succeeded`. */
export function summaryOf({ files, state, flow, isScanned }: SummarizedReport): string {
  const unit = flow === undefined ? "file" : "node";
  const found = isScanned === false ? " found by then" : "";
  const of = `${formatCount(files.succeeded)} of ${plural(files.total, unit)}${found} succeeded`;
  if (state === "broken") return `run could not be carried out, ${of}`;
  if (state === "cancelled") return `run cancelled, ${of}`;
  const bad = files.failed + files.quarantined;
  if (bad > 0) return `${formatCount(bad)} of ${plural(files.total, unit)} failed`;
  const skipped = files.skipped > 0 ? `, ${formatCount(files.skipped)} skipped` : "";
  if (files.total === 0) return "no files found, nothing to do";
  return `${plural(files.succeeded, unit)} succeeded${skipped}`;
}

function whatRow({ inference, command, flow }: RunReport): (readonly [string, string])[] {
  if (flow !== undefined) return flowRows(flow);
  if (inference === undefined) return [["command", formatCommand(command)]];
  const on = inference.providers.length === 0 ? "" : ` on ${inference.providers.join(" and ")}`;
  const refused = inference.refusals.map((text): readonly [string, string] => ["not used", oneLine(text)]);
  return [["model", `${oneLine(inference.model)}${on}`], ...refused];
}

function inputRow({ flow, input, inputBytes }: RunReport, style: Style): (readonly [string, string])[] {
  return flow === undefined ? [["input", `${oneLine(input)}  ${style.dim(formatBytes(inputBytes))}`]] : [];
}

/** The nodes that its end had to wait for, and the failures that were no failures of the run. */
export function flowRows({
  handled,
  criticalPath,
  agents,
  planner,
  outputs = {},
}: FlowReport): (readonly [string, string])[] {
  const steps = criticalPath.slice(-SHOWN_STEPS).map(({ id, ranMs }) => `${id} ${formatDuration(ranMs)}`);
  const more = criticalPath.length > SHOWN_STEPS ? "… → " : "";
  return [
    ...(steps.length === 0 ? [] : [["waited for", `${more}${steps.join(" → ")}`] as const]),
    ...(handled.length === 0
      ? []
      : [["handled", `${handled.join(", ")} failed, and another node was there for it`] as const]),
    ...(agents === undefined ? [] : [["agents", usedText("turn", agents.turns, agents)] as const]),
    ...(planner === undefined ? [] : [["planner", plannerText(planner)] as const]),
    ...Object.entries(outputs).map(([name, value]) => [`→ ${name}`, outputText(value)] as const),
  ];
}

/** A text as it is, any other value as JSON; `report.json` has long ones whole. */
function outputText(value: unknown): string {
  return truncate(oneLine(typeof value === "string" ? value : JSON.stringify(value)), SHOWN_VALUE_CHARS);
}

function plannerText({ spent }: NonNullable<FlowReport["planner"]>): string {
  const { calls, inputTokens, outputTokens, costUsd } = spent;
  return usedText("call", calls, { tokens: inputTokens + outputTokens, costUsd });
}

function usedText(
  unit: string,
  count: number,
  { tokens, costUsd }: { tokens: number; costUsd: number | null },
): string {
  const cost = costUsd === null ? "cost unknown" : `$${costUsd.toFixed(4)}`;
  return `${plural(count, unit)} · ${plural(tokens, "token")} · ${cost}`;
}

function labelsRow({ inference }: RunReport): (readonly [string, string])[] {
  if (inference === undefined || inference.labels.length === 0) return [];
  const shown = inference.labels
    .slice(0, SHOWN_LABELS)
    .map(({ label, files }) => `${oneLine(label)} ${formatCount(files)}`);
  const more = inference.labels.length > SHOWN_LABELS ? " · …" : "";
  return [["labels", `${shown.join(" · ")}${more}`]];
}

function outputRow(report: RunReport, style: Style): (readonly [string, string])[] {
  const { count, bytes } = report.artifacts;
  const reused = report.reused > 0 ? `, ${plural(report.reused, "file")} unchanged since the last time` : "";
  if (report.inference !== undefined) {
    const files = report.inference.results.map(({ path, bytes: size }) => `${path}, ${formatBytes(size)}`).join(" · ");
    return [["output", `${oneLine(report.output)}  ${style.dim(`${files}${reused}`)}`]];
  }
  if (count === 0 && report.reused === 0) return [["output", oneLine(report.output)]];
  const text = `${plural(count, "output")}, ${formatBytes(bytes)}${reused}`;
  return [["output", `${oneLine(report.output)}  ${style.dim(text)}`]];
}

function durationRow({ durationMs, flow }: RunReport): (readonly [string, string])[] {
  if (durationMs === null) return [];
  const { p50, p90, p99, max } = durationMs;
  const figures = [`p50 ${formatDuration(p50)}`, `p90 ${formatDuration(p90)}`, `p99 ${formatDuration(p99)}`];
  return [[flow === undefined ? "per file" : "per node", [...figures, `max ${formatDuration(max)}`].join(" · ")]];
}

function memoryRow(report: RunReport): (readonly [string, string])[] {
  const cpu = `CPU ${formatDuration(report.cpuSeconds * 1_000)} in all`;
  if (report.peakBytes === null) return [];
  return [["resources", `peak ${formatBytes(report.peakBytes)} per process · ${cpu}`]];
}

function retriesRow({ retries }: RunReport): (readonly [string, string])[] {
  const classes = Object.entries(retries).filter(([, count]) => count > 0);
  if (classes.length === 0) return [];
  const total = classes.reduce((sum, [, count]) => sum + count, 0);
  return [["retries", `${formatCount(total)}  (${classes.map(([name, count]) => `${name} ${count}`).join(", ")})`]];
}

function anomaliesRow({ anomalies }: RunReport): (readonly [string, string])[] {
  if (anomalies === undefined || (anomalies.count === 0 && anomalies.drifts === 0)) return [];
  const [first] = anomalies.examples;
  const example = first === undefined ? "" : `, such as ${anomalyText(first)}`;
  const drift = anomalies.drifts === 0 ? "" : "; the command takes more than was learned of it, and is learned anew";
  return [["unusual", `${plural(anomalies.count, "process", "processes")} far above the others${example}${drift}`]];
}

/** `a.mp4: 2 GiB of memory where 500 MiB is usual`. */
export function anomalyText({ path, target, value, expected }: RunAnomaly): string {
  const amount = target === "duration" ? formatDuration : formatBytes;
  const of = { memory: " of memory", gpu: " of GPU memory", duration: "" }[target];
  const what = `${amount(value)}${of}`;
  return `${path === null ? "one while it ran" : oneLine(path)}: ${what} where ${amount(expected)} is usual`;
}

function failureLines({ failures }: RunReport, style: Style): string[] {
  if (failures.length === 0) return [];
  const lines = ["", `  ${style.bold("Failures")}`];
  for (const group of failures.slice(0, SHOWN_FAILURES)) {
    const what = group.failureClass === "none" ? "" : `${group.failureClass}: `;
    lines.push(`  ${style.red(formatCount(group.files).padStart(6))}  ${what}${oneLine(group.message)}`);
    if (group.log !== null) lines.push(`          ${style.dim("log:")} ${oneLine(group.log)}`);
    for (const path of group.examples.slice(0, SHOWN_EXAMPLES)) lines.push(style.dim(`          ${oneLine(path)}`));
    if (group.files > SHOWN_EXAMPLES) lines.push(style.dim("          …"));
  }
  if (failures.length > SHOWN_FAILURES) {
    lines.push(
      style.dim(`          and ${plural(failures.length - SHOWN_FAILURES, "more kind")} of failure, in the report`),
    );
  }
  return lines;
}
