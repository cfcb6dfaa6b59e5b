/** What a person sees while a run goes on: one live line on a terminal, a plain line now and then elsewhere. */
import type { RunStatus } from "../contract/status.ts";
import { systemClock, type Clock } from "../platform/clock.ts";
import { formatCount, formatDuration, formatRate, oneLine, truncate } from "./format.ts";
import { plainStyle, type Style } from "./style.ts";

const BAR_CELLS = 20;
const REDRAW_MS = 100;
const PLAIN_EVERY_MS = 10_000;
/** Below this width the bar gives its place to the figures. */
const BAR_MIN_COLUMNS = 72;
const CLEAR_LINE = "\r\u001b[K";

/** One part of the line: its text, and how it is painted. The plain text says how wide it is. */
interface Part {
  readonly text: string;
  readonly paint: (text: string) => string;
}

type Shown = Pick<RunStatus, "state" | "counts" | "progress"> & {
  readonly spec?: Pick<RunStatus["spec"], "executor">;
};

/** What the run counts. */
function unitOf({ spec }: Shown): "nodes" | "files" {
  return spec?.executor === "flow" ? "nodes" : "files";
}

/** The parts of the line, the most telling first, without colours. `wait` is what the governor waits for. */
function partsOf(status: Shown, wait: string | undefined, style: Style): Part[] {
  const { counts, progress } = status;
  const plain = (text: string): Part => ({ text, paint: (painted) => painted });
  const dim = (text: string): Part => ({ text, paint: style.dim });
  const failed = counts.failed + counts.quarantined;
  const total = `${formatCount(Math.max(counts.total, progress.doneFiles))}${progress.isScanned ? "" : "+"}`;
  const parts = [plain(`${formatCount(progress.doneFiles)} of ${total} ${unitOf(status)}`)];
  if (failed > 0) parts.push({ text: `${formatCount(failed)} failed`, paint: style.red });
  if (counts.skipped > 0) parts.push(dim(`${formatCount(counts.skipped)} skipped`));
  const { filesPerSecond, remainingSeconds } = progress;
  if (filesPerSecond !== null && filesPerSecond > 0) parts.push(dim(formatRate(filesPerSecond)));
  if (status.state === "cancelling") parts.push({ text: "cancelling", paint: style.yellow });
  else if (remainingSeconds !== null && progress.doneFiles < counts.total) {
    parts.push(dim(`${formatDuration(Math.max(1, Math.ceil(remainingSeconds)) * 1_000)} left`));
  }
  if (wait !== undefined && status.state !== "cancelling") {
    parts.push({ text: `waits: ${oneLine(wait)}`, paint: style.yellow });
  }
  return parts;
}

/** The live line, at most `columns` wide. */
export function progressLine(
  status: Shown,
  { wait, columns = 80, style = plainStyle }: { wait?: string | undefined; columns?: number; style?: Style } = {},
): string {
  const ratio = status.progress.doneRatio;
  let room = columns - 1;
  let line = "";
  if (columns >= BAR_MIN_COLUMNS && ratio !== null) {
    const full = Math.floor(ratio * BAR_CELLS);
    line = `${style.cyan("━".repeat(full))}${style.dim("─".repeat(BAR_CELLS - full))} ${`${Math.floor(ratio * 100)}`.padStart(3)} %  `;
    room -= BAR_CELLS + 8;
  }
  let isFirst = true;
  for (const part of partsOf(status, wait, style)) {
    const separator = isFirst ? "" : " · ";
    if (room <= separator.length) break;
    const text = truncate(part.text, room - separator.length);
    line += style.dim(separator) + part.paint(text);
    room -= separator.length + text.length;
    isFirst = false;
  }
  return line;
}

/** The line for a log file or a pipe. */
export function plainProgressLine(status: Shown, wait?: string): string {
  return partsOf(status, wait, plainStyle)
    .map((part) => part.text)
    .join(", ");
}

export interface ProgressStream {
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

export interface ProgressOptions {
  readonly stream: ProgressStream;
  /** Whether the line may be drawn over. */
  readonly isLive: boolean;
  readonly style: Style;
  readonly clock?: Clock;
}

/** Shows the newest status, never more often than a person can read. */
export class Progress {
  readonly #options: ProgressOptions;
  readonly #clock: Clock;
  #lastShownMs: number;
  #isDrawn = false;

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    // A run that ends within the first ten seconds needs no line in a log.
    this.#lastShownMs = options.isLive ? -Infinity : this.#clock.monotonicMs();
  }

  /** How often it makes sense to ask for a new status. */
  get intervalMs(): number {
    return this.#options.isLive ? 250 : 1_000;
  }

  update(status: Shown, wait?: string): void {
    const nowMs = this.#clock.monotonicMs();
    const { isLive, stream, style } = this.#options;
    if (nowMs - this.#lastShownMs < (isLive ? REDRAW_MS : PLAIN_EVERY_MS)) return;
    this.#lastShownMs = nowMs;
    if (!isLive) {
      stream.write(`headroom: ${plainProgressLine(status, wait)}\n`);
      return;
    }
    stream.write(CLEAR_LINE + progressLine(status, { wait, columns: stream.columns ?? 80, style }));
    this.#isDrawn = true;
  }

  /** A line that stays, above the live one. */
  note(text: string): void {
    this.clear();
    this.#options.stream.write(`${text}\n`);
    this.#lastShownMs = this.#options.isLive ? -Infinity : this.#lastShownMs;
  }

  /** Takes the live line away. */
  clear(): void {
    if (!this.#isDrawn) return;
    this.#options.stream.write(CLEAR_LINE);
    this.#isDrawn = false;
  }
}
