import { describe, expect, test } from "vitest";
import { isTimeZone, parseCron, showTime, timesAfter, timesUntil, type Cron } from "../../../src/contract/cron.ts";

function cronOf(text: string): Cron {
  const parsed = parseCron(text);
  if (parsed.kind === "faulty") throw new Error(`${text}: expected ${parsed.expected}, found ${parsed.found}`);
  return parsed.cron;
}

function take(times: Iterable<number>, count: number): string[] {
  const taken: string[] = [];
  for (const time of times) {
    taken.push(new Date(time).toISOString().replace(":00.000Z", "Z"));
    if (taken.length === count) break;
  }
  return taken;
}

const after = (text: string, zone: string, from: string, count: number) =>
  take(timesAfter(cronOf(text), zone, Date.parse(from)), count);
const until = (text: string, zone: string, from: string, count: number) =>
  take(timesUntil(cronOf(text), zone, Date.parse(from)), count);

describe("parseCron", () => {
  test.each([
    ["* * *", "five fields (minute, hour, day of the month, month, day of the week), or one of", '3 of them: "* * *"'],
    ["", "five fields", "nothing"],
    ["* * * * * *", "five fields", "6 of them"],
    ["61 * * * *", "as its minute *, 0 to 59,", '"61"'],
    ["0 24 * * *", "as its hour *, 0 to 23,", '"24"'],
    ["0 0 * foo *", "as its month *, 1 to 12 or jan to dec,", '"foo"'],
    ["0 0 * * 8", "as its day of the week *, 0 to 7 or sun to sat,", '"8"'],
    ["*/0 * * * *", "as its minute", '"*/0"'],
    ["5-1 * * * *", "as its minute", '"5-1"'],
    ["1,,2 * * * *", "as its minute", '"1,,2"'],
    ["0 0 31 2 *", "a day that exists in one of the months", "day 31 of month 2"],
  ])("says what is wrong with %j", (text, expected, found) => {
    const parsed = parseCron(text);
    expect(parsed.kind).toBe("faulty");
    if (parsed.kind === "faulty") {
      expect(parsed.expected).toContain(expected);
      expect(parsed.found).toContain(found);
    }
  });

  test("reads names, lists, ranges, steps and nicknames", () => {
    expect(cronOf("0-10/5,59 9-17/4 * jan,DEC MON-fri")).toMatchObject({
      minutes: [0, 5, 10, 59],
      hours: [9, 13, 17],
      months: new Set([1, 12]),
      weekdays: new Set([1, 2, 3, 4, 5]),
    });
    expect(cronOf("@weekly")).toMatchObject({ minutes: [0], hours: [0], weekdays: new Set([0]) });
    expect(cronOf("0 0 * * 7").weekdays).toEqual(new Set([0]));
  });
});

describe("times", () => {
  test("follow the wall clock of their zone", () => {
    expect(after("0 9 * * mon-fri", "America/New_York", "2026-06-05T12:00:00Z", 2)).toEqual([
      "2026-06-05T13:00Z",
      "2026-06-08T13:00Z",
    ]);
    expect(after("15 6 * * *", "Asia/Kathmandu", "2026-06-05T00:00:00Z", 1)).toEqual(["2026-06-05T00:30Z"]);
    expect(after("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", 1)).toEqual(["2104-02-29T00:00Z"]);
  });

  test("are met on either day when both fields of days are restricted", () => {
    expect(after("0 0 13 * fri", "UTC", "2026-02-01T00:00:00Z", 4)).toEqual([
      "2026-02-06T00:00Z",
      "2026-02-13T00:00Z",
      "2026-02-20T00:00Z",
      "2026-02-27T00:00Z",
    ]);
  });

  test("that do not exist run as long after the change, once, forwards and backwards", () => {
    const times = ["2026-03-28T01:30Z", "2026-03-29T01:30Z", "2026-03-30T00:30Z"];
    expect(after("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3)).toEqual(times);
    expect(until("30 2 * * *", "Europe/Berlin", "2026-03-30T12:00:00Z", 3)).toEqual(times.toReversed());
    // 02:30, which runs at 03:30, and 03:30 are one time that day.
    expect(after("30 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 2)).toEqual([
      "2026-03-29T01:30Z",
      "2026-03-30T00:30Z",
    ]);
  });

  test("that exist twice run at the first of both, wherever one begins to look", () => {
    const times = ["2026-10-24T00:30Z", "2026-10-25T00:30Z", "2026-10-26T01:30Z"];
    expect(after("30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", 3)).toEqual(times);
    expect(until("30 2 * * *", "Europe/Berlin", "2026-10-26T12:00:00Z", 3)).toEqual(times.toReversed());
    expect(after("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00.500Z", 1)).toEqual(["2026-10-26T01:30Z"]);
  });

  test("of every hour leave the missing hour out, and take the double one twice", () => {
    expect(after("30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3)).toEqual([
      "2026-03-29T00:30Z",
      "2026-03-29T01:30Z",
      "2026-03-29T02:30Z",
    ]);
    expect(after("30 */2 * * *", "Europe/Berlin", "2026-10-24T23:00:00Z", 3)).toEqual([
      "2026-10-25T00:30Z",
      "2026-10-25T01:30Z",
      "2026-10-25T03:30Z",
    ]);
  });

  test("hold where the clock is moved by half an hour, at midnight, or a day is left out", () => {
    expect(after("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", 2)).toEqual([
      "2026-10-03T15:45Z",
      "2026-10-04T15:15Z",
    ]);
    expect(after("30 0 * * *", "Africa/Cairo", "2026-04-23T12:00:00Z", 2)).toEqual([
      "2026-04-23T22:30Z",
      "2026-04-24T21:30Z",
    ]);
    // Samoa had no 30 December 2011.
    expect(after("0 12 * * *", "Pacific/Apia", "2011-12-29T21:00:00Z", 2)).toEqual([
      "2011-12-29T22:00Z",
      "2011-12-30T22:00Z",
    ]);
  });

  test("are shown as on the wall, with how far that is ahead", () => {
    expect(showTime("Europe/Berlin", Date.parse("2026-03-29T01:30:00Z"))).toBe("2026-03-29 03:30:00 +02:00");
    expect(showTime("America/St_Johns", Date.parse("2026-01-01T00:00:00Z"))).toBe("2025-12-31 20:30:00 -03:30");
  });

  test("know zones by their names", () => {
    expect([isTimeZone("Europe/Berlin"), isTimeZone("UTC"), isTimeZone("Mars/Base")]).toEqual([true, true, false]);
  });
});
