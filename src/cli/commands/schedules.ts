/** `headroom schedules`: runs that start again and again. */
import type { Command } from "commander";
import { readFileSync } from "node:fs";
import { isTimeZone, parseCron } from "../../contract/cron.ts";
import { InvalidInputError, messageOf, type Fault } from "../../contract/errors.ts";
import { dayStart, missedPolicies, nextTimes, overlapPolicies, type ScheduleStatus } from "../../contract/schedules.ts";
import { resolveFrom } from "../../platform/current-folder.ts";
import { readConfigDocument } from "../../platform/config-document.ts";
import { act, addJsonOption, addPlaceOptions, describeCommand, withCluster, type Invocation } from "../command-line.ts";
import { plural } from "../format.ts";
import { outStyle, print, printJson, say, type Io } from "../io.ts";
import { resolveBinary } from "../run/binary.ts";
import { scheduleText, schedulesText, timesText } from "../schedule-text.ts";
import type { PlaceOptions } from "../settings.ts";

interface Flags extends PlaceOptions {
  readonly json?: boolean;
}

interface AddFlags extends Flags {
  readonly file?: string;
  readonly cron?: string;
  readonly every?: string;
  readonly timeZone?: string;
  readonly overlap?: string;
  readonly missed?: string;
  readonly missedLimit?: string;
  readonly jitter?: string;
  readonly input?: string;
  readonly output?: string;
}

interface BackfillFlags extends Flags {
  readonly from: string;
  readonly to: string;
}

interface NextFlags extends Flags {
  readonly count: string;
}

export function schedulesCommand(invocation: Invocation): Command {
  const { io } = invocation;
  const command = describeCommand("schedules", "show or change runs that start again and again", [
    "headroom schedules",
    'headroom schedules add nightly --cron "30 2 * * *" --time-zone Europe/Berlin --input in --output out -- gzip -9 -c {input}',
    "headroom schedules pause nightly",
    "headroom schedules backfill nightly --from 2026-01-01 --to 2026-01-31",
  ]);
  withPlace(command).action(act(invocation, (flags: Flags) => list(flags, io)));
  const listed = describeCommand("list", "show all schedules", ["headroom schedules list"]);
  withPlace(listed).action(act(invocation, (flags: Flags) => list(flags, io)));
  const parts = [listed, showCommand(invocation), addCommand(invocation), nextCommand(invocation)];
  for (const verb of ["pause", "resume", "remove"] as const) parts.push(verbCommand(invocation, verb));
  for (const part of [...parts, backfillCommand(invocation)]) command.addCommand(part);
  return command;
}

function withPlace(command: Command): Command {
  return addPlaceOptions(addJsonOption(command));
}

async function list(flags: Flags, io: Io): Promise<undefined> {
  const schedules = await withCluster(flags, io, ({ client }) => client.schedules.list());
  if (flags.json === true) printJson(io, { schedules });
  else print(io, schedulesText(schedules, outStyle(io)));
}

function tell(io: Io, flags: Flags, status: ScheduleStatus): void {
  if (flags.json === true) printJson(io, status);
  else print(io, scheduleText(status, outStyle(io)));
}

function showCommand(invocation: Invocation): Command {
  const command = describeCommand("show", "show a schedule, its next times and what became of the last", [
    "headroom schedules show nightly",
  ]).argument("<name>", "name of the schedule");
  return withPlace(command).action(
    act(invocation, async (name: string, flags: Flags) => {
      const status = await withCluster(flags, invocation.io, ({ client }) => client.schedules.get(name));
      tell(invocation.io, flags, status);
      return undefined;
    }),
  );
}

const verbs = {
  pause: "pause a schedule: times that come are neither started nor missed",
  resume: "let a paused schedule go on, from now",
  remove: "remove a schedule; its runs stay",
} as const;

function verbCommand(invocation: Invocation, verb: keyof typeof verbs): Command {
  const { io } = invocation;
  const command = describeCommand(verb, verbs[verb], [`headroom schedules ${verb} nightly`]);
  return withPlace(command.argument("<name>", "name of the schedule")).action(
    act(invocation, (name: string, flags: Flags) =>
      withCluster(flags, io, async ({ client: { schedules } }) => {
        if (verb === "remove") {
          await schedules.remove(name);
          if (flags.json === true) printJson(io, { removed: name });
          else say(io, `schedule ${name} removed`);
        } else tell(io, flags, await schedules[verb](name));
        return undefined;
      }),
    ),
  );
}

function nextCommand(invocation: Invocation): Command {
  const { io } = invocation;
  const command = describeCommand("next", "show the next times of a schedule, or of a cron expression", [
    "headroom schedules next nightly",
    'headroom schedules next "30 2 * * *" --time-zone Europe/Berlin --count 10',
  ])
    .argument("<name>", "name of a schedule, or a cron expression")
    .option("--count <n>", "how many", "5")
    .option("--time-zone <name>", "of a cron expression (default: UTC)");
  return withPlace(command).action(
    act(invocation, async (name: string, flags: NextFlags & { readonly timeZone?: string }) => {
      const count = parseCount(flags.count);
      const timing = /[\s@*]/.test(name)
        ? cronTiming(name, flags.timeZone)
        : (await withCluster(flags, io, ({ client }) => client.schedules.get(name))).spec;
      const times = nextTimes(timing, Date.now(), count);
      if (flags.json === true) printJson(io, { nextMs: times, timeZone: timing.time_zone });
      else print(io, timesText(timing.time_zone, times).join("\n"));
      return undefined;
    }),
  );
}

function cronTiming(cron: string, zone = "UTC") {
  const parsed = parseCron(cron);
  if (!isTimeZone(zone)) {
    const expected = 'the name of a time zone, such as "Europe/Berlin"';
    throw refusal([{ where: "--time-zone", expected, found: JSON.stringify(zone) }]);
  }
  if (parsed.kind === "valid") return { cron, every: undefined, time_zone: zone };
  throw refusal([{ where: "cron", expected: parsed.expected, found: parsed.found }]);
}

function parseCount(text: string): number {
  if (/^[1-9]\d{0,2}$/.test(text)) return Number(text);
  throw refusal([{ where: "--count", expected: "a whole number, 1 to 999", found: JSON.stringify(text) }]);
}

function refusal(faults: readonly Fault[]): InvalidInputError {
  return new InvalidInputError("command line", faults);
}

function addCommand(invocation: Invocation): Command {
  const { io } = invocation;
  const command = describeCommand("add", "declare a schedule", [
    'headroom schedules add nightly --cron "30 2 * * *" --input in --output out -- gzip -9 -c {input}',
    "headroom schedules add hourly --every 1h --overlap queue --input /in --output /out/{time} -- /opt/tool {input}",
    "headroom schedules add nightly --file nightly.yaml",
  ])
    .argument("<name>", "lower-case letters, digits, - and _")
    .option("--cron <expression>", "minute, hour, day of the month, month, day of the week")
    .option("--every <duration>", "in place of --cron: such as 90s, 15m or 1h")
    .option("--time-zone <name>", "whose clock --cron follows (default: UTC)")
    .option("--overlap <policy>", `while an earlier run goes on: ${overlapPolicies.join(", ")} (default: skip)`)
    .option("--missed <policy>", `times that nobody was there for: ${missedPolicies.join(", ")} (default: once)`)
    .option("--missed-limit <n>", "with --missed all: at most so many, the latest (default: 24)")
    .option("--jitter <duration>", "each start is late by a part of this")
    .option("--input <folder>", "input files; {date} and {time} are the scheduled time")
    .option("--output <folder>", "output files; {date} and {time} are the scheduled time")
    .option("--file <file>", "the whole schedule, as YAML or JSON");
  return withPlace(command).action(
    act(invocation, async (name: string, flags: AddFlags) => {
      const written = flags.file === undefined ? writtenBy(flags, invocation) : readScheduleFile(flags.file, io);
      const status = await withCluster(flags, io, ({ client }) => client.schedules.create(name, written));
      tell(io, flags, status);
      return undefined;
    }),
  );
}

/** The schedule that the options and the command behind `--` say. */
function writtenBy(flags: AddFlags, { io, childCommand }: Invocation): unknown {
  const { cron, every, timeZone, overlap, missed, missedLimit, jitter, input, output } = flags;
  const [name, ...rest] = childCommand ?? [];
  if (name === undefined)
    throw refusal([{ where: "schedules add", expected: "--file, or a command behind --", found: "neither" }]);
  const binary = resolveBinary(name, { where: "PATH", cwd: io.cwd, path: io.env["PATH"] });
  const given = { cron, every, time_zone: timeZone, overlap, missed, jitter };
  return {
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    ...(missedLimit !== undefined && { missed_limit: Number(missedLimit) }),
    run: {
      command: [binary, ...rest],
      ...(input !== undefined && { input: resolveFrom(io.cwd, input) }),
      ...(output !== undefined && { output: resolveFrom(io.cwd, output) }),
    },
  };
}

function readScheduleFile(file: string, io: Io): unknown {
  let text: string;
  try {
    text = readFileSync(resolveFrom(io.cwd, file), "utf8");
  } catch (error) {
    throw refusal([{ where: "--file", expected: "a readable file", found: messageOf(error) }]);
  }
  const { value, faults } = readConfigDocument(text, file, io.env);
  if (faults.length > 0) throw new InvalidInputError(`schedule ${file}`, faults);
  return value;
}

function backfillCommand(invocation: Invocation): Command {
  const { io } = invocation;
  const command = describeCommand("backfill", "run the times of a range in the past, one after the other", [
    "headroom schedules backfill nightly --from 2026-01-01 --to 2026-01-31",
    "headroom schedules backfill hourly --from 2026-01-01T06:00:00Z --to 2026-01-01T18:00:00Z",
  ])
    .argument("<name>", "name of the schedule")
    .requiredOption("--from <time>", "a day in the schedule's time zone, or a time with its zone")
    .requiredOption("--to <time>", "the last day or time");
  return withPlace(command).action(
    act(invocation, (name: string, flags: BackfillFlags) =>
      withCluster(flags, io, async ({ client: { schedules } }) => {
        const { spec } = await schedules.get(name);
        const range = {
          fromMs: parseTime(flags.from, { where: "--from", zone: spec.time_zone, isEnd: false }),
          toMs: Math.min(Date.now(), parseTime(flags.to, { where: "--to", zone: spec.time_zone, isEnd: true })),
        };
        const { times, added } = await schedules.backfill(name, range);
        if (flags.json === true) printJson(io, { times, added });
        else say(io, `${plural(times, "time")} in the range, ${added} to be run, one after the other`);
        return undefined;
      }),
    ),
  );
}

interface TimeOption {
  readonly where: string;
  readonly zone: string;
  /** Of a day, its end is meant. */
  readonly isEnd: boolean;
}

function parseTime(text: string, { where, zone, isEnd }: TimeOption): number {
  const timeMs = Date.parse(text);
  const isDay = /^\d{4}-\d\d-\d\d$/.test(text);
  const isTime = /^\d{4}-\d\d-\d\dT.*(?:Z|[+-]\d\d:\d\d)$/.test(text);
  if (Number.isNaN(timeMs) || (!isDay && !isTime)) {
    const expected = 'a day such as "2026-01-31", or a time with its zone such as "2026-01-31T06:00:00Z"';
    throw refusal([{ where, expected, found: JSON.stringify(text) }]);
  }
  if (isTime) return timeMs;
  return isEnd ? dayStart(zone, timeMs + 86_400_000) - 1 : dayStart(zone, timeMs);
}
