/**
 * Schedules: runs that start again and again, by a cron expression or an interval. Keys are in snake_case, as in the
 * configuration file, wherever they are written; what is below `run` is a run request.
 */
import { z } from "zod";
import { parseDurationMs } from "./config-units.ts";
import { isTimeZone, parseCron, timesAfter, timesUntil, type Cron } from "./cron.ts";
import { InvalidInputError } from "./errors.ts";
import { checkRunSpec, type RunRequest } from "./run-request.ts";
import { field, schemaFaults, showFound, showPath, type PathFault } from "./schema-faults.ts";
import { namePlaceholders } from "./schedule-names.ts";

/** What happens when a time comes while the run of an earlier one goes on. */
export const overlapPolicies = ["skip", "queue", "cancel"] as const;
/** What happens to times at which nobody was there to start anything. */
export const missedPolicies = ["once", "skip", "all"] as const;

const MAX_NAME = 63;
export const MAX_MISSED = 1_000;
const MIN_EVERY_MS = 1_000;
const MAX_DURATION_MS = 366 * 86_400_000;

export const scheduleName = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?$/, `lower-case letters, digits, - and _, ${MAX_NAME} at most`);

function duration(minMs: number) {
  const expected = `a duration such as "90s", "15m" or "1h30m", ${minMs / 1_000} s to 366 days`;
  return z
    .string({ error: expected })
    .describe(expected)
    .refine(
      (text) => {
        const ms = parseDurationMs(text);
        return ms !== undefined && Number.isInteger(ms) && ms >= minMs && ms <= MAX_DURATION_MS;
      },
      { error: expected },
    );
}

const absolutePath = z.string().regex(/^\/[^\0]*$/, "an absolute path");

/** A flow that starts again and again: its file as it is at each time. */
const scheduledFlow = z.strictObject({
  file: absolutePath.describe("the flow file, as the scheduler sees it"),
  folder: absolutePath.describe("where the folders of its runs are made"),
  inputs: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({}),
});
export type ScheduledFlow = Readonly<z.output<typeof scheduledFlow>>;

/** One schedule, as people write it. */
export const scheduleSpec = z.strictObject({
  cron: z.string().optional().describe("five fields: minute, hour, day of the month, month, day of the week"),
  every: duration(MIN_EVERY_MS).optional().describe("in place of cron: a duration, counted from 1 January 1970 UTC"),
  time_zone: z.string().default("UTC").describe('whose clock cron follows, such as "Europe/Berlin"'),
  overlap: z.enum(overlapPolicies).default("skip"),
  missed: z.enum(missedPolicies).default("once"),
  missed_limit: z.int().min(1).max(MAX_MISSED).default(24).describe("with missed: all, at most so many, the latest"),
  jitter: duration(0).optional().describe("each start is late by a part of this, by chance, but always the same"),
  paused: z.boolean().default(false),
  run: z.record(z.string(), z.unknown()).optional().describe("a run request"),
  flow: scheduledFlow.optional().describe("in place of run: a flow file"),
});
export type ScheduleSpec = Readonly<z.output<typeof scheduleSpec>>;
export type ScheduleSpecInput = Omit<z.input<typeof scheduleSpec>, "run"> & { readonly run?: RunRequest };

export type CheckedSchedule =
  | { readonly kind: "valid"; readonly spec: ScheduleSpec }
  | { readonly kind: "faulty"; readonly faults: readonly PathFault[] };

const specKeys = Object.keys(scheduleSpec.shape);

/** Checks a schedule, the rules that a schema cannot say included. */
export function checkSchedule(written: unknown): CheckedSchedule {
  const parsed = scheduleSpec.safeParse(written);
  const own = parsed.success
    ? []
    : schemaFaults(parsed.error.issues, written, (path) => (path.length === 0 ? specKeys : [])).map((fault) =>
        fault.path.length === 0 ? { ...fault, where: "schedule" } : fault,
      );
  const rules = [...timeFaults(written), ...runFaults(written)].filter(
    (rule) => !own.some(({ where }) => where === rule.where),
  );
  const faults = [...own, ...rules];
  return parsed.success && faults.length === 0 ? { kind: "valid", spec: parsed.data } : { kind: "faulty", faults };
}

/** Checks a schedule. @throws {InvalidInputError} with every fault and its place */
export function parseSchedule(written: unknown): ScheduleSpec {
  const checked = checkSchedule(written);
  if (checked.kind === "valid") return checked.spec;
  throw new InvalidInputError(
    "schedule",
    checked.faults.map(({ where, expected, found }) => ({ where, expected, found })),
  );
}

function timeFaults(written: unknown): PathFault[] {
  if (typeof written !== "object" || written === null || Array.isArray(written)) return [];
  const [cron, every, zone] = [field(written, "cron"), field(written, "every"), field(written, "time_zone")];
  const faults: PathFault[] = [];
  const add = (path: string[], expected: string, found: string) =>
    faults.push({ path, where: showPath(path), expected, found });
  if ((cron === undefined) === (every === undefined))
    add(["cron"], "either cron or every", cron === undefined ? "neither" : "both");
  const [run, flow] = [field(written, "run"), field(written, "flow")];
  if ((run === undefined) === (flow === undefined))
    add(["run"], "either run or flow", run === undefined ? "neither" : "both");
  if (typeof cron === "string") {
    const parsed = parseCron(cron);
    if (parsed.kind === "faulty") add(["cron"], parsed.expected, parsed.found);
  }
  if (typeof zone === "string" && !isTimeZone(zone))
    add(["time_zone"], 'the name of a time zone, such as "Europe/Berlin"', showFound(zone, ["time_zone"]));
  return faults;
}

/** The run that a time would start is checked as it would be then. */
function runFaults(written: unknown): PathFault[] {
  const run = field(written, "run");
  if (typeof run !== "object" || run === null || Array.isArray(run)) return [];
  const checked = checkRunSpec(namePlaceholders(run, "UTC", 0));
  if (checked.kind === "valid") return [];
  return checked.faults.map((fault) => {
    const path = ["run", ...fault.path];
    return { ...fault, path, where: showPath(path) };
  });
}

/** When a schedule is due: forwards from a time, and backwards up to one. */
export interface ScheduleTimes {
  after(afterMs: number): Iterable<number>;
  until(untilMs: number): Iterable<number>;
}

/** What says when a schedule is due. */
export interface Timing {
  readonly cron?: string | undefined;
  readonly every?: string | undefined;
  readonly time_zone: string;
}

/** The times of a checked schedule. */
export function timesOf({ cron, every, time_zone: zone }: Timing): ScheduleTimes {
  if (cron === undefined) return intervalTimes(parseDurationMs(every ?? "") ?? Number.NaN);
  const parsed = parseCron(cron);
  if (parsed.kind === "faulty") throw new TypeError(`expected a checked cron expression, found ${cron}`);
  return cronTimes(parsed.cron, zone);
}

function cronTimes(cron: Cron, zone: string): ScheduleTimes {
  return {
    after: (afterMs) => timesAfter(cron, zone, afterMs),
    until: (untilMs) => timesUntil(cron, zone, untilMs),
  };
}

function intervalTimes(everyMs: number): ScheduleTimes {
  return {
    *after(afterMs) {
      for (let time = (Math.floor(afterMs / everyMs) + 1) * everyMs; ; time += everyMs) yield time;
    },
    *until(untilMs) {
      for (let time = Math.floor(untilMs / everyMs) * everyMs; ; time -= everyMs) yield time;
    },
  };
}

/** The next times after one, so many. */
export function nextTimes(timing: Timing, afterMs: number, count: number): number[] {
  const next: number[] = [];
  if (count < 1) return next;
  for (const time of timesOf(timing).after(afterMs)) {
    next.push(time);
    if (next.length === count) break;
  }
  return next;
}

/** When a day begins in a zone: `dayMs` is its midnight by UTC. */
export function dayStart(zone: string, dayMs: number): number {
  const day = new Date(dayMs);
  const cron = `0 0 ${day.getUTCDate()} ${day.getUTCMonth() + 1} *`;
  // No zone is further than a day from UTC.
  return nextTimes({ cron, every: undefined, time_zone: zone }, dayMs - 86_400_000, 1)[0] ?? dayMs;
}

/**
 * Whether a changed schedule counts from now: times of the past were none of it, and none is missed while it is paused.
 */
export function hasOtherTimes(before: ScheduleSpec, after: ScheduleSpec): boolean {
  const same = (["cron", "every", "time_zone", "paused"] as const).every((key) => before[key] === after[key]);
  return !same;
}

/** Who declared a schedule: the configuration of the scheduler, or a call. */
export type ScheduleSource = "config" | "api";

/**
 * What became of one time. `due`: its run has not been started yet. `started`: it has, once. `skipped`: a policy of the
 * schedule left it out. `refused`: its run could not be started, and would not be later.
 */
export const startStates = ["due", "started", "skipped", "refused"] as const;
export type StartState = (typeof startStates)[number];

/** One time of a schedule and what became of it. */
export interface ScheduleStart {
  readonly timeMs: number;
  readonly state: StartState;
  /** Asked for by a person, for a time in the past. */
  readonly isBackfill: boolean;
  readonly runId: string | null;
  /** Why it waits, was skipped or refused. */
  readonly message: string | null;
  readonly atMs: number;
  /** Token of the term in which a leader wrote this last; 0 for what no leader wrote. */
  readonly term: number;
}

export interface ScheduleRecord {
  readonly name: string;
  readonly spec: ScheduleSpec;
  readonly source: ScheduleSource;
  /** Paused by a person; one that its specification pauses is paused as well. */
  readonly isPaused: boolean;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  /** One more with each change. */
  readonly revision: number;
  /** What became of each time up to this one is written down. */
  readonly settledMs: number;
}

/** A schedule as it is told to people and programs. */
export interface ScheduleStatus extends ScheduleRecord {
  /** Empty while it is paused. */
  readonly nextMs: readonly number[];
  /** The latest first. */
  readonly last: readonly ScheduleStart[];
}
