/** Live workers as a person watches them: what each has, promised and uses, what runs and what waits for what. Pure. */
import type { DeviceRoom, RunningJob, WaitingQueue, WorkerHeartbeat } from "../contract/status.ts";
import type { ResourceName } from "../contract/resources.ts";
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatTable,
  formatTime,
  oneLine,
  plural,
  truncate,
} from "./format.ts";
import type { Style } from "./style.ts";

const BAR_CELLS = 24;
const INDENT = "  ";

interface Shown {
  readonly name: ResourceName;
  readonly label: string;
  readonly format: (value: number) => string;
}

const shownResources: readonly Shown[] = [
  { name: "memoryBytes", label: "memory", format: formatBytes },
  { name: "cpuCores", label: "cpus", format: (cores) => String(Math.round(cores * 10) / 10) },
  { name: "processes", label: "processes", format: formatCount },
];

export interface TopOptions {
  readonly nowMs: number;
  readonly columns: number;
  readonly style: Style;
  /** Jobs of each worker that are shown; the rest is counted. */
  readonly maxJobs: number;
}

/** One screen. */
export function topText(workers: readonly WorkerHeartbeat[], options: TopOptions): string {
  const { style, nowMs } = options;
  const running = workers.reduce((sum, worker) => sum + worker.running.length, 0);
  const head = `${style.bold("headroom top")}  ${plural(workers.length, "worker")}, ${plural(running, "job")} running`;
  const lines = [`${head}  ${style.dim(formatTime(nowMs))}`];
  if (workers.length === 0) lines.push("", style.yellow("no worker is alive; start one with: headroom worker"));
  for (const worker of workers) lines.push("", ...workerLines(worker, options));
  return lines.join("\n");
}

function workerLines(worker: WorkerHeartbeat, options: TopOptions): string[] {
  const { style, nowMs, columns } = options;
  const labels = worker.labels.length === 0 ? "" : `  ${worker.labels.join(", ")}`;
  const state = worker.state === "working" ? style.green(worker.state) : style.yellow(worker.state);
  const age = nowMs - worker.atMs > 3_000 ? style.yellow(`  silent for ${formatDuration(nowMs - worker.atMs)}`) : "";
  return [
    `${style.bold(oneLine(worker.workerId))}  ${state}${style.dim(`${labels}  on ${oneLine(worker.host)}`)}${age}`,
    ...shownResources.flatMap((shown) => resourceLine(worker, shown, style)),
    ...(worker.devices ?? []).map((device) => deviceLine(device, style)),
    ...jobLines(worker.running, options),
    ...worker.waiting.map((wait) => waitLine(wait, columns, style)),
  ];
}

function resourceLine(worker: WorkerHeartbeat, { name, label, format }: Shown, style: Style): string[] {
  const capacity = worker.capacity[name];
  if (capacity === undefined || capacity <= 0) return [];
  const used = worker.observed[name] ?? 0;
  const reserved = worker.reserved[name] ?? 0;
  const free = worker.headroom[name] ?? 0;
  const figures = `${format(used)} used, ${format(reserved)} reserved, ${format(free)} free of ${format(capacity)}`;
  return [`${INDENT}${style.dim(label.padEnd(10))}${bar(used / capacity, reserved / capacity, style)}  ${figures}`];
}

function deviceLine({ name, usedBytes, totalBytes, reservedBytes = 0 }: DeviceRoom, style: Style): string {
  const reserved = reservedBytes > 0 ? `, ${formatBytes(reservedBytes)} reserved` : "";
  const free = formatBytes(totalBytes - Math.max(usedBytes, reservedBytes));
  const figures = `${formatBytes(usedBytes)} used${reserved}, ${free} free of ${formatBytes(totalBytes)}`;
  const cells = bar(usedBytes / totalBytes, reservedBytes / totalBytes, style);
  return `${INDENT}${style.dim(oneLine(name).padEnd(10))}${cells}  ${figures}`;
}

/** Full cells are in use, half ones promised beyond that. */
export function bar(usedRatio: number, reservedRatio: number, style: Style): string {
  const cells = (ratio: number) => Math.round(Math.min(1, Math.max(0, ratio)) * BAR_CELLS);
  const used = cells(usedRatio);
  const promised = Math.max(0, cells(Math.max(usedRatio, reservedRatio)) - used);
  const paint = usedRatio > 0.9 ? style.red : usedRatio > 0.75 ? style.yellow : style.green;
  return (
    paint("█".repeat(used)) + style.cyan("▒".repeat(promised)) + style.dim("░".repeat(BAR_CELLS - used - promised))
  );
}

function jobLines(running: readonly RunningJob[], { nowMs, style, maxJobs, columns }: TopOptions): string[] {
  if (running.length === 0) return [];
  const shown = running.toSorted((a, b) => (b.rssBytes ?? 0) - (a.rssBytes ?? 0)).slice(0, maxJobs);
  const hasGpu = shown.some((job) => job.gpu !== undefined);
  const rows = shown.map((job) => [
    oneLine(job.jobId),
    formatDuration(nowMs - job.sinceMs),
    bytesOrDash(job.reserved.memoryBytes),
    bytesOrDash(job.rssBytes),
    bytesOrDash(job.expectedBytes),
    ...(hasGpu ? [gpuCell(job)] : []),
    job.endsAtMs === null ? "-" : formatDuration(Math.max(0, job.endsAtMs - nowMs)),
    job.enforced === null ? "" : `${job.enforced.state} for ${formatDuration(nowMs - job.enforced.sinceMs)}`,
  ]);
  const state = shown.some((job) => job.enforced !== null) ? "STATE" : "";
  const head = ["JOB", "FOR", "RESERVED", "USED", "PREDICTED", ...(hasGpu ? ["GPU"] : []), "ENDS IN", state];
  const [first = "", ...lines] = formatTable([head, ...rows], hasGpu ? [1, 2, 3, 4, 5, 6] : [1, 2, 3, 4, 5]);
  const rest = running.length - shown.length;
  return [
    INDENT + style.dim(truncate(first, columns - INDENT.length)),
    ...lines.map((line) => INDENT + truncate(line, columns - INDENT.length)),
    ...(rest > 0 ? [style.dim(`${INDENT}and ${plural(rest, "more job")}`)] : []),
  ];
}

/** In use, of what it was promised of its card: `1.2 GiB of 2 GiB`. */
function gpuCell({ gpu }: RunningJob): string {
  return gpu === undefined ? "-" : `${bytesOrDash(gpu.usedBytes)} of ${formatBytes(gpu.reservedBytes)}`;
}

function bytesOrDash(bytes: number | null | undefined): string {
  return bytes === null || bytes === undefined ? "-" : formatBytes(bytes);
}

function waitLine(wait: WaitingQueue, columns: number, style: Style): string {
  const eta = wait.etaMs === null ? "" : `, in ${formatDuration(wait.etaMs)} perhaps`;
  const text = `${INDENT}waits: ${wait.queue}  ${wait.code}  ${oneLine(wait.message)}${eta}`;
  return style.yellow(truncate(text, columns));
}
