/** Figures, tables and paths for people to read. Pure. */
import { printablePath } from "../contract/path-bytes.ts";
import { KiB } from "../contract/resources.ts";

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** `0 B`, `1.5 KiB`, `120 MiB`: three figures at most. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= KiB && unit < BYTE_UNITS.length - 1) {
    value /= KiB;
    unit += 1;
  }
  // 1023.7 KiB would read as 1,024 KiB: it belongs to the next unit.
  if (Math.round(value) >= KiB && unit < BYTE_UNITS.length - 1) {
    value /= KiB;
    unit += 1;
  }
  return `${unit === 0 ? String(value) : shortFigure(value)} ${BYTE_UNITS[unit] ?? "B"}`;
}

/** `3 ms`, `1.4 s`, `2 min 05 s`, `1 h 02 min`, `3 d 04 h`. */
export function formatDuration(ms: number): string {
  if (ms < 1) return ms <= 0 ? "0 ms" : "under 1 ms";
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  const seconds = ms / 1_000;
  if (seconds < 59.95) return `${shortFigure(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 1_440) return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} min`;
  const hours = Math.round(minutes / 60);
  return `${Math.floor(hours / 24)} d ${pad(hours % 24)} h`;
}

/** `1,234,567`. By hand: the first use of a locale loads its tables, at the end of each command. */
export function formatCount(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** `1 file`, `2 files`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** `625/s`, `3.2/s`, `12/min`: a rate that a person can picture. */
export function formatRate(perSecond: number): string {
  if (perSecond >= 99.5) return `${formatCount(perSecond)}/s`;
  if (perSecond >= 0.95) return `${shortFigure(perSecond)}/s`;
  return `${shortFigure(perSecond * 60)}/min`;
}

/** Local time, to the second. */
export function formatTime(atMs: number): string {
  const at = new Date(atMs);
  const day = [at.getFullYear(), pad(at.getMonth() + 1), pad(at.getDate())].join("-");
  return `${day} ${[at.getHours(), at.getMinutes(), at.getSeconds()].map(pad).join(":")}`;
}

/** A path, command or message as one line that cannot move the cursor. */
export function oneLine(text: string): string {
  return printablePath(text).replaceAll("\\\\", "\\");
}

/** Columns padded to their widest cell, two spaces apart; `right` names the columns of figures. */
export function formatTable(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length);
  }
  return rows.map((row) =>
    row
      .map((cell, at) => (right.includes(at) ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}

/** Cuts a text to a width, with an ellipsis where something is missing. */
export function truncate(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

function shortFigure(value: number): string {
  if (value >= 99.5) return String(Math.round(value));
  return trimZero(value.toFixed(1));
}

function trimZero(text: string): string {
  return text.replace(/\.0$/, "");
}

function pad(value: number): string {
  return String(value).padStart(2, "0");
}
