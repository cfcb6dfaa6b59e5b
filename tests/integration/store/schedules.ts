/** What every engine of the store must do with schedules and their times. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseSchedule, type ScheduleStart, type StartState } from "../../../src/contract/schedules.ts";
import { openStore } from "../../../src/store/open-store.ts";
import type { Store } from "../../../src/store/store.ts";
import { addRun, quiet } from "./fixtures.ts";

const run = { command: ["/bin/true", "{input}"], input: "/in", output: { root: "/out", from: "none" } };
const spec = parseSchedule({ every: "1h", run });
const change = { spec, source: "api", isPaused: false, nowMs: 1_000.5, settledMs: 1_000.5 } as const;

function start(timeMs: number, state: StartState = "due", isBackfill = false): ScheduleStart {
  return { timeMs, state, isBackfill, runId: null, message: null, atMs: timeMs, term: 1 };
}

/** `freshUrl` gives the URL of a new, empty database. */
export function describeSchedules(engine: Store["kind"], freshUrl: () => Promise<string>): void {
  describe(`schedules in the store on ${engine}`, () => {
    let store: Store;

    beforeEach(async () => {
      store = await openStore(await freshUrl(), quiet);
      await store.migrate();
    });
    afterEach(() => store.close());

    test("come back as they were declared, once per name, and change by revision", async () => {
      const { schedules } = store;
      expect(await schedules.create("b", change)).toBe(true);
      expect(await schedules.create("b", { ...change, nowMs: 2_000 })).toBe(false);
      await schedules.create("a", change);
      expect((await schedules.list()).map(({ name }) => name)).toEqual(["a", "b"]);
      expect(await schedules.get("b")).toEqual({
        ...{ name: "b", spec, source: "api", isPaused: false, revision: 0 },
        ...{ createdAtMs: 1_000.5, updatedAtMs: 1_000.5, settledMs: 1_000.5 },
      });
      expect(await schedules.change("b", 0, { ...change, isPaused: true, nowMs: 3_000 })).toBe(true);
      expect(await schedules.change("b", 0, { ...change, nowMs: 4_000 })).toBe(false);
      expect(await schedules.get("b")).toMatchObject({ isPaused: true, revision: 1, updatedAtMs: 3_000 });
      expect(await schedules.remove("b")).toBe(true);
      expect(await schedules.remove("b")).toBe(false);
      expect(await schedules.get("b")).toBeUndefined();
    });

    test("are settled once, by no leader of an earlier term, and for no earlier revision", async () => {
      const { schedules } = store;
      await schedules.create("s", change);
      const fence = { name: "s", revision: 0, term: 5 };
      expect(await schedules.settle(fence, 2_000, [start(1_500)])).toBe(true);
      expect(await schedules.settle(fence, 2_000, [start(1_600)])).toBe(false);
      expect(await schedules.settle({ ...fence, term: 4 }, 3_000, [start(2_500)])).toBe(false);
      expect(await schedules.settle({ ...fence, revision: 1 }, 3_000, [start(2_500)])).toBe(false);
      expect(await schedules.settle({ ...fence, term: 6 }, 3_000, [start(1_500, "skipped"), start(2_500)])).toBe(true);
      const starts = await schedules.starts("s", 9);
      expect(starts.map(({ timeMs, state }) => [timeMs, state])).toEqual([
        [2_500, "due"],
        [1_500, "due"],
      ]);
      expect(await schedules.get("s")).toMatchObject({ settledMs: 3_000, revision: 0 });
    });

    test("have heads that are due, which are marked once, by no leader of an earlier term", async () => {
      const { schedules } = store;
      for (const name of ["s", "t"]) {
        await schedules.create(name, change);
        await schedules.settle({ name, revision: 0, term: 1 }, 9_000, [
          start(2_000),
          start(3_000),
          start(1_500, "due", true),
        ]);
      }
      expect(await schedules.dueHeads()).toEqual(
        ["s", "t"].flatMap((name) => [
          { name, timeMs: 2_000, isBackfill: false },
          { name, timeMs: 1_500, isBackfill: true },
        ]),
      );
      const end = { state: "started", runId: "r", atMs: 9_500 } as const;
      expect(await schedules.mark({ name: "s", term: 0 }, 2_000, end)).toBe(false);
      expect(await schedules.mark({ name: "s", term: 2 }, 2_000, end)).toBe(true);
      expect(await schedules.mark({ name: "s", term: 2 }, 2_000, end)).toBe(false);
      expect(await schedules.countDue("s")).toBe(2);
      expect(await schedules.lastStarted("s", 9)).toEqual([
        { ...start(2_000, "started"), runId: "r", atMs: 9_500, term: 2 },
      ]);
    });

    test("are filled in where there is no run yet", async () => {
      const { schedules } = store;
      await schedules.create("s", change);
      const known = [start(1_000, "started"), start(2_000, "skipped"), start(3_000, "refused"), start(4_000)];
      await schedules.settle({ name: "s", revision: 0, term: 1 }, 5_000, known);
      const times = Array.from({ length: 450 }, (_, at) => (at + 1) * 1_000);
      expect(await schedules.backfill("s", times, 6_000)).toBe(448);
      expect(await schedules.backfill("s", times, 7_000)).toBe(0);
      expect(await schedules.countDue("s")).toBe(449);
      expect((await schedules.dueHeads()).map(({ timeMs, isBackfill }) => [timeMs, isBackfill])).toEqual([
        [4_000, false],
        [2_000, true],
      ]);
    });

    test("forget all but the last of their times, and none that is due", async () => {
      const { schedules } = store;
      await schedules.create("s", change);
      const times = Array.from({ length: 9 }, (_, at) => start((at + 1) * 1_000, at === 0 ? "due" : "started"));
      await schedules.settle({ name: "s", revision: 0, term: 1 }, 20_000, times);
      expect(await schedules.trim("s", 20)).toBe(0);
      expect(await schedules.trim("s", 3)).toBe(5);
      expect((await schedules.starts("s", 20)).map(({ timeMs }) => timeMs)).toEqual([9_000, 8_000, 7_000, 1_000]);
    });

    test("stand beside runs that have not ended, which are read in parts", async () => {
      for (const id of ["e", "a", "d", "b", "c"]) await addRun(store, id);
      await store.runs.move("b", ["queued"], "succeeded", { endedAtMs: 1 });
      await store.runs.move("d", ["queued"], "running", { startedAtMs: 1 });
      const ids = async (query: { limit: number; afterId?: string }) =>
        (await store.runs.open(query)).map(({ id }) => id);
      expect(await ids({ limit: 2 })).toEqual(["a", "c"]);
      expect(await ids({ limit: 2, afterId: "c" })).toEqual(["d", "e"]);
      expect(await ids({ limit: 2, afterId: "e" })).toEqual([]);
    });
  });
}
