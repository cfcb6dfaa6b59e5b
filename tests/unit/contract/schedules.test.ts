import { describe, expect, test } from "vitest";
import { namePlaceholders } from "../../../src/contract/schedule-names.ts";
import {
  checkSchedule,
  dayStart,
  hasOtherTimes,
  nextTimes,
  parseSchedule,
  timesOf,
} from "../../../src/contract/schedules.ts";
import { parseConfig } from "../../../src/contract/config-faults.ts";

const run = { command: ["/bin/cat", "{input}"], input: "/in", output: "/out/{date}" };

function faultsOf(written: unknown): string[] {
  const checked = checkSchedule(written);
  return checked.kind === "valid" ? [] : checked.faults.map(({ where, found }) => `${where}: ${found}`);
}

describe("checkSchedule", () => {
  test("fills defaults in", () => {
    expect(parseSchedule({ every: "15m", run })).toEqual({
      ...{ every: "15m", time_zone: "UTC", overlap: "skip", missed: "once", missed_limit: 24, paused: false },
      run,
    });
  });

  test.each([
    [{ run }, ["cron: neither"]],
    [{ cron: "@daily", every: "1h", run }, ["cron: both"]],
    [{ every: "200ms", run }, ['every: "200ms"']],
    [{ every: "soon", run }, ['every: "soon"']],
    [{ every: "1h", jitter: "400d", run }, ['jitter: "400d"']],
    [{ every: "1h", overlap: "sometimes", run }, ['overlap: "sometimes"']],
    [{ every: "1h", missed_limit: 0, run }, ["missed_limit: 0"]],
    [{ every: "1h" }, ["run: neither"]],
    [{ every: "1h", run: { ...run, input: "in" } }, ['run.input: "in"']],
    [{ every: "1h", runs: run, run }, ['runs: the unknown key "runs"']],
    ["daily", ['schedule: "daily"']],
  ])("names what is wrong with %j", (written, faults) => {
    expect(faultsOf(written)).toEqual(faults);
  });

  test("is part of the check of a configuration, each fault with its schedule", () => {
    const parsed = parseConfig({
      schedules: { nightly: { cron: "0 24 * * *", run }, "Bad Name": { every: "1h", run } },
    });
    const faults = parsed.kind === "faulty" ? parsed.faults.map(({ where }) => where) : [];
    expect(faults.toSorted()).toEqual(["schedules.Bad Name", "schedules.nightly.cron"]);
  });
});

describe("times", () => {
  test("of an interval are the same wherever one begins to look", () => {
    const day = Date.parse("2026-06-01T00:00:00Z");
    expect(nextTimes({ every: "6h", time_zone: "UTC" }, day - 1, 3)).toEqual([day, day + 21_600_000, day + 43_200_000]);
    const [last] = timesOf({ every: "6h", time_zone: "UTC" }).until(day + 5);
    expect(last).toBe(day);
  });

  test("of a day begin where the zone's day does", () => {
    const utc = Date.parse("2026-06-01");
    expect(new Date(dayStart("Europe/Berlin", utc)).toISOString()).toBe("2026-05-31T22:00:00.000Z");
    expect(new Date(dayStart("Pacific/Kiritimati", utc)).toISOString()).toBe("2026-05-31T10:00:00.000Z");
    expect(new Date(dayStart("America/Los_Angeles", utc)).toISOString()).toBe("2026-06-01T07:00:00.000Z");
  });

  test("are others when what names them changes, not when a policy does", () => {
    const spec = parseSchedule({ cron: "0 * * * *", run });
    expect(hasOtherTimes(spec, { ...spec, overlap: "cancel", jitter: "1m" })).toBe(false);
    expect(hasOtherTimes(spec, { ...spec, time_zone: "Europe/Berlin" })).toBe(true);
    expect(hasOtherTimes(spec, { ...spec, paused: true })).toBe(true);
  });
});

test("the scheduled time stands in the place of its names, wherever they are, as the zone's clock shows it", () => {
  const written = { command: ["/bin/cat", "{input}", "--day={date}", "{{date}}"], output: { root: "/o/{time}" }, n: 1 };
  const timeMs = Date.parse("2026-03-29T01:30:00Z");
  expect(namePlaceholders(written, "Europe/Berlin", timeMs)).toEqual({
    command: ["/bin/cat", "{input}", "--day=2026-03-29", "{{date}}"],
    output: { root: "/o/2026-03-29T03-30-00+02-00" },
    n: 1,
  });
  // A time that comes twice has two names.
  const twice = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"];
  const names = twice.map((time) => namePlaceholders("{time}", "Europe/Berlin", Date.parse(time)));
  expect(names).toEqual(["2026-10-25T02-30-00+02-00", "2026-10-25T02-30-00+01-00"]);
});
