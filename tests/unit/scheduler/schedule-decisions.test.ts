import { describe, expect, test } from "vitest";
import { parseSchedule, type ScheduleSpec } from "../../../src/contract/schedules.ts";
import {
  decideNewStarts,
  decideStart,
  jitterOf,
  MAX_WAITING,
  startKey,
} from "../../../src/scheduler/schedule-decisions.ts";

const HOUR = 3_600_000;
const run = { command: ["/bin/true", "{input}"], input: "/in", output: { root: "/out", from: "none" } };
const NOON = Date.parse("2026-06-01T12:00:00Z");

function specOf(change: Partial<ScheduleSpec> = {}): ScheduleSpec {
  return { ...parseSchedule({ cron: "0 * * * *", run }), ...change };
}

const show = (starts: ReturnType<typeof decideNewStarts>) =>
  starts.map(({ timeMs, state, isBackfill }) => [new Date(timeMs).toISOString().slice(11, 16), state, isBackfill]);

describe("decideNewStarts", () => {
  test("makes a time due at its time, and none before it", () => {
    const spec = specOf();
    expect(decideNewStarts(spec, { settledMs: NOON - 1, nowMs: NOON, waiting: 0 })).toEqual([
      { timeMs: NOON, state: "due", isBackfill: false, message: null },
    ]);
    expect(decideNewStarts(spec, { settledMs: NOON, nowMs: NOON + HOUR - 1, waiting: 0 })).toEqual([]);
  });

  const night = { settledMs: NOON - 5 * HOUR, nowMs: NOON + 30 * 60_000, waiting: 0 };

  test("starts the last of all missed times once", () => {
    expect(show(decideNewStarts(specOf({ missed: "once" }), night))).toEqual([["12:00", "due", false]]);
  });

  test("leaves missed times out, and says how many there were", () => {
    const [only, ...others] = decideNewStarts(specOf({ missed: "skip" }), night);
    expect(only).toMatchObject({ timeMs: NOON, state: "skipped" });
    expect(only?.message).toBe("missed: no scheduler led then, nor at 4 earlier times");
    expect(others).toEqual([]);
  });

  test("catches up with the latest missed times, one after the other", () => {
    expect(show(decideNewStarts(specOf({ missed: "all", missed_limit: 3 }), night))).toEqual([
      ["09:00", "skipped", false],
      ["10:00", "due", true],
      ["11:00", "due", true],
      ["12:00", "due", true],
    ]);
  });

  test("needs no start of its own for missed times when one is on time", () => {
    const onTime = { settledMs: NOON - 5 * HOUR, nowMs: NOON + 1_000, waiting: 0 };
    expect(show(decideNewStarts(specOf({ missed: "once" }), onTime))).toEqual([
      ["11:00", "skipped", false],
      ["12:00", "due", false],
    ]);
  });

  test("is bounded after a downtime of years", () => {
    const spec = specOf({ cron: undefined, every: "1s", missed: "all", missed_limit: 1_000 });
    const starts = decideNewStarts(spec, { settledMs: 0, nowMs: NOON, waiting: 0 });
    expect(starts.filter(({ state, isBackfill }) => state === "due" && isBackfill)).toHaveLength(1_000);
    expect(starts.length).toBeLessThan(1_100);
  });

  test("queues no more than may wait", () => {
    const spec = specOf({ cron: undefined, every: "1s", overlap: "queue" });
    const starts = decideNewStarts(spec, { settledMs: NOON - 3_000, nowMs: NOON, waiting: MAX_WAITING - 1 });
    expect(starts.map(({ state }) => state)).toEqual(["due", "skipped", "skipped"]);
  });
});

describe("decideStart", () => {
  const going = { runId: "r", isBackfill: false };

  test.each([
    ["skip", false, undefined, "start"],
    ["skip", false, going, "skip"],
    ["queue", false, going, "wait"],
    ["cancel", false, going, "cancel"],
    // What is filled in neither ends others nor is ended by them.
    ["skip", true, going, "wait"],
    ["cancel", true, going, "wait"],
    ["skip", false, { runId: "r", isBackfill: true }, "wait"],
    ["cancel", false, { runId: "r", isBackfill: true }, "wait"],
  ] as const)("with overlap %s, filled in %s, beside %j: %s", (overlap, isBackfill, beside, kind) => {
    expect(decideStart({ overlap, isBackfill }, beside).kind).toBe(kind);
  });
});

describe("jitterOf", () => {
  test("is within its bound, the same each time, and spreads", () => {
    const late = Array.from({ length: 100 }, (_, at) => jitterOf({ jitter: "10m" }, "nightly", NOON + at * HOUR));
    expect(late).toEqual(
      Array.from({ length: 100 }, (_, at) => jitterOf({ jitter: "10m" }, "nightly", NOON + at * HOUR)),
    );
    expect(Math.min(...late)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...late)).toBeLessThan(600_000);
    expect(new Set(late.map((ms) => Math.floor(ms / 60_000))).size).toBeGreaterThan(5);
    expect(jitterOf({}, "nightly", NOON)).toBe(0);
  });
});

test("each time of each schedule has a key of its own", () => {
  expect(startKey("nightly", NOON)).toBe("schedule:nightly:2026-06-01T12:00:00.000Z");
  expect(startKey("nightly", NOON)).not.toBe(startKey("nightly", NOON + 1));
});
