/** What becomes of the times of a schedule: pure. */
import { createHash } from "node:crypto";
import { parseDurationMs } from "../contract/config-units.ts";
import { timesOf, MAX_MISSED, type ScheduleSpec, type ScheduleStart, type StartState } from "../contract/schedules.ts";

/** A time that nobody looked at for longer than this was missed. A change of leader takes ten seconds. */
export const ON_TIME_MS = 60_000;
/** With `overlap: queue`, so many times wait; a schedule that is always too slow must not gather them for ever. */
export const MAX_WAITING = 100;

export interface SettleFacts {
  readonly settledMs: number;
  readonly nowMs: number;
  /** Times that are due already. */
  readonly waiting: number;
}

/** A time that came, and what is to become of it. */
export type NewStart = Pick<ScheduleStart, "timeMs" | "isBackfill" | "message"> & { readonly state: StartState };

type Timing = Pick<ScheduleSpec, "cron" | "every" | "time_zone">;
type Missing = Pick<ScheduleSpec, "missed" | "missed_limit">;

/** What becomes of the times between those that are settled and now, in their order. */
export function decideNewStarts(
  spec: Timing & Missing & Pick<ScheduleSpec, "overlap">,
  { settledMs, nowMs, waiting }: SettleFacts,
): NewStart[] {
  const times = timesBetween(spec, settledMs, nowMs);
  const isOnTime = (time: number) => nowMs - time <= ON_TIME_MS;
  const onTime = times.filter(isOnTime).map((timeMs) => due(timeMs, false));
  const missed = decideMissed(
    spec,
    times.filter((time) => !isOnTime(time)),
    onTime.length > 0,
  );
  const room = MAX_WAITING - waiting;
  const late = onTime.map((start, at) =>
    spec.overlap === "queue" && at >= room ? skipped(start.timeMs, `${MAX_WAITING} earlier times wait`) : start,
  );
  return [...missed, ...late];
}

/** The latest times after one and up to another, in order; more than can be caught up with are left out. */
function timesBetween(timing: Timing, afterMs: number, untilMs: number): number[] {
  const times: number[] = [];
  for (const time of timesOf(timing).until(untilMs)) {
    if (time <= afterMs || times.length > MAX_MISSED + ON_TIME_MS / 1_000) break;
    times.push(time);
  }
  return times.toReversed();
}

function decideMissed(
  { missed, missed_limit: limit }: Missing,
  times: readonly number[],
  isCovered: boolean,
): NewStart[] {
  const latest = times.at(-1);
  if (latest === undefined) return [];
  switch (missed) {
    case "skip":
      return [skipped(latest, missedText(times))];
    case "once":
      return [isCovered ? skipped(latest, missedText(times)) : due(latest, false)];
    case "all": {
      const left = times.slice(0, -limit);
      const last = left.at(-1);
      // As times that are filled in: one after the other, whatever the policy of overlaps.
      const rest = times.slice(-limit).map((timeMs) => due(timeMs, true));
      return last === undefined ? rest : [skipped(last, missedText(left)), ...rest];
    }
  }
}

function missedText(times: readonly number[]): string {
  const others = times.length - 1;
  return `missed: no scheduler led then${others === 0 ? "" : `, nor at ${others} earlier ${others === 1 ? "time" : "times"}`}`;
}

function due(timeMs: number, isBackfill: boolean): NewStart {
  return { timeMs, state: "due", isBackfill, message: null };
}

function skipped(timeMs: number, message: string): NewStart {
  return { timeMs, state: "skipped", isBackfill: false, message };
}

/** A run of the schedule that goes on. */
export interface GoingRun {
  readonly runId: string;
  readonly isBackfill: boolean;
}

export type StartDecision =
  | { readonly kind: "start" }
  | { readonly kind: "wait" }
  | { readonly kind: "skip"; readonly message: string }
  | { readonly kind: "cancel"; readonly runId: string };

/** What becomes of a time that is due, while a run of an earlier time may go on. What is filled in waits its turn. */
export function decideStart(
  { overlap, isBackfill }: { readonly overlap: ScheduleSpec["overlap"]; readonly isBackfill: boolean },
  going: GoingRun | undefined,
): StartDecision {
  if (going === undefined) return { kind: "start" };
  if (isBackfill || going.isBackfill || overlap === "queue") return { kind: "wait" };
  if (overlap === "cancel") return { kind: "cancel", runId: going.runId };
  return { kind: "skip", message: `run ${going.runId} of an earlier time went on` };
}

/** How late a time starts: a part of the jitter that is by chance, but always the same for this time. */
export function jitterOf({ jitter }: Pick<ScheduleSpec, "jitter">, name: string, timeMs: number): number {
  const jitterMs = jitter === undefined ? 0 : (parseDurationMs(jitter) ?? 0);
  const chance = createHash("sha256").update(`${name} ${timeMs}`).digest().readUInt32BE() / 2 ** 32;
  return Math.floor(chance * jitterMs);
}

/** What makes each start one start: the idempotency key of the run of a time. */
export function startKey(name: string, timeMs: number): string {
  return `schedule:${name}:${new Date(timeMs).toISOString()}`;
}
