/**
 * Cron expressions of five fields, as times of a clock on a wall in one time zone.
 *
 * On the two days of a year on which that clock is moved: an expression that names hours runs once for each time that it
 * names. A time that does not exist (02:30 as the clock goes from 02:00 to 03:00) runs as long after the change as it would
 * have been after the missing hour began (03:30); of a time that exists twice, the first one counts. An expression whose
 * hours begin with `*` follows the clock instead: the missing hour is left out, the hour that comes twice counts twice.
 */

/** A cron expression that was read. */
export interface Cron {
  readonly text: string;
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly days: ReadonlySet<number>;
  readonly months: ReadonlySet<number>;
  readonly weekdays: ReadonlySet<number>;
  /** Whether the hours begin with `*`. */
  readonly followsClock: boolean;
  /** How the two fields of days go together: as in every cron, either is enough when both are restricted. */
  readonly dayRule: "all" | "either";
}

export type ParsedCron =
  | { readonly kind: "valid"; readonly cron: Cron }
  | { readonly kind: "faulty"; readonly expected: string; readonly found: string };

interface Field {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** Names of values, the first one for `min`. */
  readonly names: readonly string[];
}

const fields = [
  { name: "minute", min: 0, max: 59, names: [] },
  { name: "hour", min: 0, max: 23, names: [] },
  { name: "day of the month", min: 1, max: 31, names: [] },
  {
    name: "month",
    min: 1,
    max: 12,
    names: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
  },
  { name: "day of the week", min: 0, max: 7, names: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
] as const satisfies readonly Field[];

const nicknames: Readonly<Partial<Record<string, string>>> = {
  "@hourly": "0 * * * *",
  "@daily": "0 0 * * *",
  "@weekly": "0 0 * * 0",
  "@monthly": "0 0 1 * *",
  "@yearly": "0 0 1 1 *",
};

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** Every expression that has a time at all has one within this: a 29 February may be eight years away. */
const HORIZON_DAYS = 8 * 366 + 2;

/** Reads an expression; one that never comes true is faulty. */
export function parseCron(text: string): ParsedCron {
  const parts = (nicknames[text.trim()] ?? text).trim().split(/\s+/);
  if (parts.length !== fields.length || parts[0] === "") {
    const names = fields.map(({ name }) => name).join(", ");
    const count = text.trim() === "" ? "nothing" : `${parts.length} of them: ${JSON.stringify(text)}`;
    return {
      kind: "faulty",
      expected: `five fields (${names}), or one of ${Object.keys(nicknames).join(", ")}`,
      found: count,
    };
  }
  const sets: number[][] = [];
  for (const [at, field] of fields.entries()) {
    const part = parts[at] ?? "";
    const values = parseField(part, field);
    if (values === undefined) return faultyField(field, part);
    sets.push(values);
  }
  return checkedCron(text, parts, sets);
}

function checkedCron(text: string, parts: readonly string[], sets: readonly number[][]): ParsedCron {
  const [minutes = [], hours = [], days = [], months = [], weekdays = []] = sets;
  const isOpen = (at: number) => parts[at]?.startsWith("*") === true;
  const cron: Cron = {
    text,
    minutes,
    hours,
    days: new Set(days),
    months: new Set(months),
    // Sunday is 0 and 7.
    weekdays: new Set(weekdays.map((day) => day % 7)),
    followsClock: isOpen(1),
    dayRule: isOpen(2) || isOpen(4) ? "all" : "either",
  };
  const hasDay = Array.from({ length: HORIZON_DAYS }, (_, day) => day).some((day) => isDayOf(cron, day));
  if (hasDay) return { kind: "valid", cron };
  const expected = "a day that exists in one of the months";
  return { kind: "faulty", expected, found: `day ${parts[2] ?? ""} of month ${parts[3] ?? ""}` };
}

function faultyField({ name, min, max, names }: Field, found: string): ParsedCron {
  const named = names.length === 0 ? "" : ` or ${names[0] ?? ""} to ${names.at(-1) ?? ""}`;
  const expected = `as its ${name} *, ${min} to ${max}${named}, a range, a list, or a step such as */2`;
  return { kind: "faulty", expected, found: JSON.stringify(found) };
}

/** The values of one field, in order; undefined when it is none. */
function parseField(text: string, field: Field): number[] | undefined {
  const values = new Set<number>();
  for (const item of text.split(",")) {
    const [, range = "", from, to, stepText] = /^(\*|([a-z0-9]+)(?:-([a-z0-9]+))?)(?:\/(\d{1,3}))?$/i.exec(item) ?? [];
    const bounds = boundsOf({ range, from, to, hasStep: stepText !== undefined }, field);
    const step = Number(stepText ?? 1);
    if (bounds === undefined || step < 1) return undefined;
    for (let value = bounds.first; value <= bounds.last; value += step) values.add(value);
  }
  return [...values].toSorted((a, b) => a - b);
}

interface Item {
  readonly range: string;
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly hasStep: boolean;
}

function boundsOf({ range, from, to, hasStep }: Item, field: Field): { first: number; last: number } | undefined {
  // Of `*`, Sunday is one day.
  if (range === "*") return { first: field.min, last: field.name === "day of the week" ? 6 : field.max };
  const first = valueOf(from, field);
  const last = to === undefined ? (hasStep ? field.max : first) : valueOf(to, field);
  return first === undefined || last === undefined || first > last ? undefined : { first, last };
}

function valueOf(text: string | undefined, { min, max, names }: Field): number | undefined {
  const named = names.indexOf(text?.toLowerCase() ?? "");
  const value = named >= 0 ? named + min : /^\d{1,2}$/.test(text ?? "") ? Number(text) : Number.NaN;
  return value >= min && value <= max ? value : undefined;
}

/** Whether this is a name of a time zone, such as `Europe/Berlin`. */
export function isTimeZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return true;
  } catch {
    return false; // the one thing that this throws for
  }
}

/** Times after this one, the earliest first. It does not end by itself. */
export function* timesAfter(cron: Cron, zone: string, afterMs: number): Generator<number> {
  let last = afterMs;
  for (let day = localDay(zone, afterMs) - 1; ; day += 1) {
    for (const time of timesOfDay(cron, zone, day)) {
      if (time <= last) continue;
      last = time;
      yield time;
    }
  }
}

/** Times up to this one, the latest first. It does not end by itself. */
export function* timesUntil(cron: Cron, zone: string, untilMs: number): Generator<number> {
  let last = untilMs + 1;
  for (let day = localDay(zone, untilMs) + 1; ; day -= 1) {
    for (const time of timesOfDay(cron, zone, day).toReversed()) {
      if (time >= last) continue;
      last = time;
      yield time;
    }
  }
}

/** Days are counted from 1 January 1970. */
function localDay(zone: string, timeMs: number): number {
  return Math.floor((timeMs + offsetMs(zone, timeMs)) / DAY_MS);
}

function isDayOf(cron: Cron, day: number): boolean {
  const date = new Date(day * DAY_MS);
  if (!cron.months.has(date.getUTCMonth() + 1)) return false;
  const [isDay, isWeekday] = [cron.days.has(date.getUTCDate()), cron.weekdays.has(date.getUTCDay())];
  return cron.dayRule === "all" ? isDay && isWeekday : isDay || isWeekday;
}

/** The times of one day of the wall clock, in order. */
function timesOfDay(cron: Cron, zone: string, day: number): number[] {
  if (!isDayOf(cron, day)) return [];
  const startMs = day * DAY_MS;
  const before = offsetMs(zone, startMs - DAY_MS);
  const isPlain = before === offsetMs(zone, startMs + 2 * DAY_MS);
  const times = new Set<number>();
  for (const hour of cron.hours) {
    for (const minute of cron.minutes) {
      const wallMs = startMs + hour * HOUR_MS + minute * MINUTE_MS;
      for (const time of isPlain ? [wallMs - before] : instantsOf(cron, zone, wallMs)) times.add(time);
    }
  }
  return [...times].toSorted((a, b) => a - b);
}

/** When the wall shows this, near a day on which its clock is moved: not at all, once or twice. */
function instantsOf({ followsClock }: Cron, zone: string, wallMs: number): number[] {
  const [before, after] = [offsetMs(zone, wallMs - DAY_MS), offsetMs(zone, wallMs + DAY_MS)];
  const candidates = before === after ? [wallMs - before] : [wallMs - before, wallMs - after];
  const shown = candidates.filter((time) => time + offsetMs(zone, time) === wallMs).toSorted((a, b) => a - b);
  if (followsClock) return shown;
  return [shown[0] ?? wallMs - before];
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** How far the wall clock of a zone is ahead of UTC then. */
function offsetMs(zone: string, timeMs: number): number {
  const { year, month, day, hour, minute, second } = wallParts(zone, timeMs);
  const wholeMs = Math.floor(timeMs / 1_000) * 1_000;
  return Date.UTC(year, month - 1, day, hour, minute, second) - wholeMs;
}

type Part = "year" | "month" | "day" | "hour" | "minute" | "second";

function wallParts(zone: string, timeMs: number): Readonly<Record<Part, number>> {
  let format = formats.get(zone);
  if (format === undefined) {
    const digits = { month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" } as const;
    format = new Intl.DateTimeFormat("en-US", { timeZone: zone, hourCycle: "h23", year: "numeric", ...digits });
    formats.set(zone, format);
  }
  const shown = new Map(format.formatToParts(timeMs).map(({ type, value }) => [type, Number(value)]));
  const of = (part: Part) => shown.get(part) ?? Number.NaN;
  return {
    ...{ year: of("year"), month: of("month"), day: of("day") },
    ...{ hour: of("hour"), minute: of("minute"), second: of("second") },
  };
}

/** `2026-03-29 03:30:00 +02:00`: what the wall of a zone shows, and how far it is ahead of UTC. */
export function showTime(zone: string, timeMs: number): string {
  const offset = offsetMs(zone, timeMs);
  const wall = new Date(timeMs + offset).toISOString();
  const [hours, minutes] = [Math.floor(Math.abs(offset) / HOUR_MS), (Math.abs(offset) % HOUR_MS) / MINUTE_MS];
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  return `${wall.slice(0, 10)} ${wall.slice(11, 19)} ${offset < 0 ? "-" : "+"}${two(hours)}:${two(minutes)}`;
}
