/** Schedules as a person reads them on a terminal. Pure. */
import { showTime } from "../contract/cron.ts";
import type { ScheduleStart, ScheduleStatus } from "../contract/schedules.ts";
import { formatCommand } from "../contract/command-text.ts";
import { formatTable, oneLine, truncate } from "./format.ts";
import type { Style } from "./style.ts";

const COMMAND_COLUMNS = 40;

/** One line per schedule under a head. */
export function schedulesText(schedules: readonly ScheduleStatus[], style: Style): string {
  if (schedules.length === 0) return style.dim("no schedules yet; declare one with: headroom schedules add --help");
  const head = ["SCHEDULE", "WHEN", "NEXT", "LAST", "COMMAND"];
  const rows = schedules.map((schedule) => [
    schedule.name,
    whenText(schedule),
    schedule.isPaused ? "paused" : timeText(schedule, schedule.nextMs[0]),
    schedule.last[0] === undefined ? "-" : `${schedule.last[0].state} ${timeText(schedule, schedule.last[0].timeMs)}`,
    truncate(commandText(schedule), COMMAND_COLUMNS),
  ]);
  const [first = "", ...lines] = formatTable([head, ...rows]);
  return [style.dim(first), ...lines].join("\n");
}

/** A schedule, its next times and what became of the last. */
export function scheduleText(schedule: ScheduleStatus, style: Style): string {
  const { name, spec, source, nextMs, last, isPaused } = schedule;
  const facts = formatTable([
    ["when", whenText(schedule)],
    ["command", commandText(schedule)],
    ["overlap", spec.overlap],
    ["missed", spec.missed === "all" ? `all, at most ${spec.missed_limit}` : spec.missed],
    ...(spec.jitter === undefined ? [] : [["jitter", spec.jitter]]),
    ["declared by", source === "config" ? "the scheduler's configuration" : "a call"],
  ]);
  const next = isPaused ? ["  paused"] : timesText(spec.time_zone, nextMs).map((line) => `  ${line}`);
  const before = last.length === 0 ? [] : [style.dim("last"), ...lastLines(schedule)];
  return [style.bold(name), ...facts.map((line) => `  ${line}`), style.dim("next"), ...next, ...before].join("\n");
}

/** Times as the clock of the zone shows them. */
export function timesText(zone: string, times: readonly number[]): string[] {
  return times.map((time) => `${showTime(zone, time)} ${zone}`);
}

function lastLines({ spec, last }: ScheduleStatus): string[] {
  const rows = last.map((start) => [`  ${showTime(spec.time_zone, start.timeMs)}`, start.state, noteOf(start)]);
  return formatTable(rows);
}

function noteOf({ runId, message, isBackfill }: ScheduleStart): string {
  const what = runId ?? (message === null ? "" : oneLine(message));
  return isBackfill ? `${what} (filled in)`.trim() : what;
}

function whenText({ spec }: ScheduleStatus): string {
  return spec.cron === undefined ? `every ${spec.every ?? ""}` : `${spec.cron} ${spec.time_zone}`;
}

function commandText({ spec }: ScheduleStatus): string {
  if (spec.flow !== undefined) return `flow ${oneLine(spec.flow.file)}`;
  const { command } = spec.run ?? {};
  return Array.isArray(command) ? formatCommand(command.map(String)) : "";
}

function timeText({ spec }: ScheduleStatus, timeMs: number | undefined): string {
  return timeMs === undefined ? "-" : showTime(spec.time_zone, timeMs);
}
