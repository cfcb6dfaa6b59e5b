/** Runs, and why they wait, as a person reads them on a terminal. Pure. */
import { isTerminal, type RunState } from "../contract/outcomes.ts";
import { printablePath } from "../contract/path-bytes.ts";
import type { ListInput } from "../platform/scan/scan-batch.ts";
import { noFiles, type RunRecord } from "../contract/run-record.ts";
import type { RunSpec } from "../contract/run-spec.ts";
import type { Explanation, RunStatus, WorkerHeartbeat } from "../contract/status.ts";
import { formatCommand } from "../contract/command-text.ts";
import { formatBytes, formatCount, formatDuration, formatTable, formatTime, oneLine, truncate } from "./format.ts";
import { plainProgressLine } from "./progress.ts";
import type { Style } from "./style.ts";

const COMMAND_COLUMNS = 48;

/** Why a run found no files, as far as its input tells: a slip in a pattern looks like an empty folder. */
export function noFilesText({ input }: Pick<RunSpec, "input">): string {
  if (input.kind === "list") {
    const rules = patternsText(input);
    return rules === ""
      ? "the list of files is empty"
      : `found no file among those named below ${printablePath(input.root)}${rules}`;
  }
  if (input.kind !== "tree") return "the list of files is empty";
  const kinds = [
    ...(input.hidden ? [] : ["hidden files (--hidden)"]),
    ...(input.symlinks === "skip" ? ["links (--symlinks)"] : []),
  ];
  const skipped = kinds.length > 0 ? `; not looked at: ${kinds.join(", ")}` : "";
  return `found no file below ${printablePath(input.root)}${patternsText(input)}${skipped}`;
}

function patternsText({ include = [], exclude = [] }: Pick<ListInput, "include" | "exclude">): string {
  const patterns = include.length > 0 ? ` that matches ${include.join(" or ")}` : "";
  return exclude.length > 0 ? `${patterns}, ${exclude.join(" and ")} left out` : patterns;
}

/** One line per run under a head. */
export function runsText(runs: readonly RunRecord[], nowMs: number, style: Style): string {
  if (runs.length === 0) return style.dim("no runs yet; start one with: headroom run --help");
  const head = ["RUN", "STATE", "FILES", "FAILED", "AGE", "COMMAND"];
  const rows = runs.map((run) => {
    const counts = run.counts ?? noFiles;
    const isOver = isTerminal(run.state);
    return [
      run.id,
      run.state,
      isOver ? formatCount(counts.total) : "…",
      isOver ? formatCount(counts.failed + counts.quarantined) : "…",
      formatDuration(nowMs - run.createdAtMs),
      truncate(run.spec.name === undefined ? formatCommand(run.spec.command) : oneLine(run.spec.name), COMMAND_COLUMNS),
    ];
  });
  const [first = "", ...lines] = formatTable([head, ...rows], [2, 3]);
  return [style.dim(first), ...lines.map((line, at) => paintState(line, runs[at]?.state, style))].join("\n");
}

function paintState(line: string, state: RunState | undefined, style: Style): string {
  if (state === undefined) return line;
  return line.replace(` ${state} `, ` ${stateStyle(state, style)(state)} `);
}

export function stateStyle(state: RunState, style: Style): (text: string) => string {
  const styles: Readonly<Record<RunState, (text: string) => string>> = {
    queued: style.dim,
    running: style.cyan,
    cancelling: style.yellow,
    cancelled: style.yellow,
    succeeded: style.green,
    failed: style.red,
    broken: style.red,
  };
  return styles[state];
}

/** A run that goes on; `wait` says why it does not. */
export function statusText(status: RunStatus, style: Style, wait?: string): string {
  const rows: (readonly [string, string])[] = [
    ["state", stateStyle(status.state, style)(status.state)],
    ["command", formatCommand(status.spec.command)],
    ["input", oneLine(status.spec.input.root)],
    ["output", oneLine(status.spec.output.root)],
    ["created", formatTime(status.createdAtMs)],
    ["progress", plainProgressLine(status)],
    ["running", `${formatCount(status.progress.runningJobs)} of ${formatCount(status.progress.chunks)} chunks`],
    ...(wait === undefined ? [] : [["waits", oneLine(wait)] as const]),
    ...(status.message === null ? [] : [["message", oneLine(status.message)] as const]),
  ];
  return [style.bold(status.id), ...rows.map(([label, text]) => `  ${style.dim(label.padEnd(10))}${text}`)].join("\n");
}

export function explanationText({ subject, state, reasons }: Explanation, style: Style): string {
  const lines = [`${subject.kind} ${style.bold(subject.id)} is ${state}`];
  for (const reason of reasons) {
    const eta = reason.etaMs === null ? "" : style.dim(`, may change in ${formatDuration(reason.etaMs)}`);
    lines.push(`  ${oneLine(reason.message)}${eta}`);
    const since = reason.sinceMs === null ? "" : `, since ${formatTime(reason.sinceMs)}`;
    lines.push(style.dim(`    ${reason.where}, ${reason.code}${since}${figures(reason)}`));
  }
  return lines.join("\n");
}

function figures({ need, have }: Explanation["reasons"][number]): string {
  if (need === null && have === null) return "";
  return `: needs ${figure(need)}, has ${figure(have)}`;
}

function figure(value: string | number | null): string {
  if (value === null) return "?";
  return typeof value === "number" ? String(Math.round(value * 100) / 100) : value;
}

/** What the workers of a cluster have and use. */
export function workersText(workers: readonly WorkerHeartbeat[], style: Style): string {
  if (workers.length === 0) return style.dim("no worker is there");
  const head = ["WORKER", "STATE", "JOBS", "PROCESSES", "MEMORY", "CPUS"];
  const rows = workers.map(({ workerId, state, running, reserved, capacity }) => [
    workerId,
    state,
    formatCount(running.length),
    pair(reserved.processes, capacity.processes, formatCount),
    pair(reserved.memoryBytes, capacity.memoryBytes, formatBytes),
    pair(reserved.cpuCores, capacity.cpuCores, (cores) => String(Math.round(cores * 10) / 10)),
  ]);
  const [first = "", ...lines] = formatTable([head, ...rows], [2]);
  return [style.dim(first), ...lines].join("\n");
}

function pair(used: number | undefined, all: number | undefined, format: (value: number) => string): string {
  return all === undefined ? "" : `${format(used ?? 0)} of ${format(all)}`;
}
