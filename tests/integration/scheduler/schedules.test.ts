/** Schedules over a real Redis and store, at times that the test sets. */
import type { Redis } from "ioredis";
import { writeFileSync } from "node:fs";
import { describe, expect } from "vitest";
import type { ScheduleSpecInput } from "../../../src/contract/schedules.ts";
import { reconcileSchedules } from "../../../src/scheduler/schedule-config.ts";
import { startKey } from "../../../src/scheduler/schedule-decisions.ts";
import { NextTimes, runSchedules } from "../../../src/scheduler/schedules.ts";
import { parseSchedule } from "../../../src/contract/schedules.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { test } from "../../support/redis.ts";
import { openScheduler, type SchedulerFixture } from "../../support/scheduler-fixture.ts";

type Change = Partial<ScheduleSpecInput>;

async function declare(at: SchedulerFixture, change: Change = {}, run: object = {}): Promise<void> {
  await at.client.schedules.create("s", { cron: "0 * * * *", run: at.request(run), ...change });
}

const round = (at: SchedulerFixture, token?: number) => runSchedules(at.deps(token), new NextTimes());

/** What became of the times, the earliest first: `10:00 started`. */
async function told(at: SchedulerFixture): Promise<string[]> {
  const starts = (await at.store.schedules.starts("s", 100)).toReversed();
  return starts.map(({ timeMs, state }) => `${new Date(timeMs).toISOString().slice(11, 16)} ${state}`);
}

const runs = (at: SchedulerFixture) => at.store.runs.list({ limit: 100 });

async function open(redis: Redis, prefix: string, time = "2026-06-01T09:30:00Z"): Promise<SchedulerFixture> {
  return openScheduler(redis, prefix, time);
}

describe("a schedule", () => {
  test("starts its run at its time, once, with jobs", async ({ redis, prefix }) => {
    await using at = await open(redis, prefix);
    await declare(at, {}, { output: { root: `${at.folder}/{date}/{time}`, from: "stdout" } });
    expect(await round(at)).toBe(0);
    at.clock.set("2026-06-01T10:00:00.700Z");
    expect(await round(at)).toBe(1);
    expect(await round(at)).toBe(0);
    const [run, ...others] = await runs(at);
    expect(others).toEqual([]);
    expect(run?.spec.name).toBe("s");
    expect(run?.spec.output.root).toBe(`${at.folder}/2026-06-01/2026-06-01T10-00-00+00-00`);
    expect(run?.idempotencyKey).toBe("schedule:s:2026-06-01T10:00:00.000Z");
    expect((await at.client.explain(run?.id ?? "")).reasons[0]?.code).toBe("no-worker");
    expect(await told(at)).toEqual(["10:00 started"]);
  });

  test("starts once though its leader dies between the run and the note of it", async ({ redis, prefix }) => {
    await using at = await open(redis, prefix);
    await declare(at);
    at.clock.set("2026-06-01T10:00:00Z");
    const dying = { ...at.deps(1), store: at.store };
    await expect(
      runSchedules(
        {
          ...dying,
          starter: {
            ...at.deps().starter,
            startRun: async (request, key) => {
              await at.deps().starter.startRun(request, key);
              throw Object.assign(new Error("killed"), { name: "ReplyError" });
            },
          },
        },
        new NextTimes(),
      ),
    ).rejects.toThrow("killed");
    expect(await told(at)).toEqual(["10:00 due"]);
    expect(await round(at, 2)).toBe(1);
    expect(await told(at)).toEqual(["10:00 started"]);
    expect(await runs(at)).toHaveLength(1);
  });

  test("starts a flow from its file as it is then, once for each time, and tells what is wrong in it", async ({
    redis,
    prefix,
  }) => {
    await using at = await open(redis, prefix);
    const file = `${at.folder}/flow.yaml`;
    const flow = { file, folder: `${at.folder}/{date}`, inputs: { n: 2 } };
    await at.client.schedules.create("s", { cron: "0 * * * *", flow });
    at.clock.set("2026-06-01T10:00:00Z");
    expect(await round(at)).toBe(0);
    expect((await at.store.schedules.starts("s", 1))[0]).toMatchObject({
      ...{ state: "refused", message: expect.stringContaining("nothing there") as string },
    });
    const nodes = "[{ id: a, kind: exec, command: [/bin/true] }]";
    writeFileSync(file, `{ version: 1, name: hourly, inputs: { n: { type: number } }, nodes: ${nodes} }`);
    at.clock.set("2026-06-01T11:00:00Z");
    await Promise.all([round(at, 1), round(at, 2)]);
    const [run, ...others] = await runs(at);
    expect(others).toEqual([]);
    expect(run?.spec).toMatchObject({ executor: "flow", name: "hourly" });
    expect(run?.spec.output.root).toBe(`${at.folder}/2026-06-01/${run?.id ?? ""}/artifacts`);
    expect(await told(at)).toEqual(["10:00 refused", "11:00 started"]);
    expect((await at.client.flows.load(run?.id ?? "")).inputs).toEqual({ n: 2 });
  });

  test("gives the agents of a flow their programs, and refuses a flow that names what is not declared", async ({
    redis,
    prefix,
  }) => {
    const known = { agents: { default: { command: ["helper", "{prompt}"] } }, profiles: {} };
    const programPath = (name: string) => `/opt/${name}`;
    await using at = await openScheduler(redis, prefix, "2026-06-01T09:30:00Z", { ...known, programPath });
    const file = `${at.folder}/flow.yaml`;
    const write = (more: string) => {
      const node = `{ id: a, kind: agent, prompt: x, max_turns: 1${more} }`;
      writeFileSync(file, `{ version: 1, name: hourly, nodes: [${node}] }`);
    };
    await at.client.schedules.create("s", { cron: "0 * * * *", flow: { file, folder: at.folder } });
    write("");
    at.clock.set("2026-06-01T10:00:00Z");
    await round(at);
    const [run] = await runs(at);
    expect((await at.client.flows.load(run?.id ?? "")).agents).toEqual({ default: ["/opt/helper", "{prompt}"] });
    await at.end(run?.id ?? "");
    write(", program: other");
    at.clock.set("2026-06-01T11:00:00Z");
    await round(at);
    write(", profile: havy");
    at.clock.set("2026-06-01T12:00:00Z");
    await round(at);
    expect(await told(at)).toEqual(["10:00 started", "11:00 refused", "12:00 refused"]);
    const messages = (await at.store.schedules.starts("s", 2)).map(({ message }) => message);
    expect(messages).toEqual([expect.stringContaining("havy"), expect.stringContaining('"other"')]);
  });

  test("starts once though two schedulers take themselves for the leader", async ({ redis, prefix }) => {
    await using at = await open(redis, prefix);
    await declare(at);
    for (let hour = 10; hour < 16; hour += 1) {
      at.clock.set(`2026-06-01T${hour}:00:00Z`);
      await Promise.all([round(at, 1), round(at, 2), round(at, 3)]);
      const [run] = await runs(at);
      await at.end(run?.id ?? "");
    }
    // A stale leader may find its write refused: then the next round says what became of the time.
    await round(at, 4);
    expect(await told(at)).toEqual([10, 11, 12, 13, 14, 15].map((hour) => `${hour}:00 started`));
    expect(await runs(at)).toHaveLength(6);
  });

  test("is left alone by a leader whose term is over: the store refuses what it writes", async ({ redis, prefix }) => {
    await using at = await open(redis, prefix);
    await declare(at);
    at.clock.set("2026-06-01T10:00:00Z");
    await round(at, 7);
    await at.end((await runs(at))[0]?.id ?? "");
    at.clock.set("2026-06-01T11:00:00Z");
    expect(await round(at, 6)).toBe(0);
    expect(await told(at)).toEqual(["10:00 started"]);
    expect(await runs(at)).toHaveLength(1);
    expect(await round(at, 8)).toBe(1);
  });
});

describe("while an earlier run goes on", () => {
  const cases = [
    ["skip", ["10:00 started", "11:00 skipped"]],
    ["queue", ["10:00 started", "11:00 due"]],
    ["cancel", ["10:00 started", "11:00 due"]],
  ] as const;
  for (const [overlap, expected] of cases) {
    test(`a time is dealt with by its policy: ${overlap}`, async ({ redis, prefix }) => {
      await using at = await open(redis, prefix);
      await declare(at, { overlap });
      at.clock.set("2026-06-01T10:00:00Z");
      await round(at);
      const [first] = await runs(at);
      at.clock.set("2026-06-01T11:00:00Z");
      await round(at);
      expect(await told(at)).toEqual(expected);
      const state = (await at.client.status(first?.id ?? "")).state;
      expect(state).toBe(overlap === "cancel" ? "cancelling" : "queued");
      await at.end(first?.id ?? "");
      await round(at);
      const after = overlap === "skip" ? "11:00 skipped" : "11:00 started";
      expect(await told(at)).toEqual(["10:00 started", after]);
    });
  }

  test("a run of someone else in its output folder is an overlap too", async ({ redis, prefix }) => {
    await using at = await open(redis, prefix);
    const output = { root: `${at.folder}/out`, from: "stdout" as const };
    await declare(at, {}, { output });
    const { run } = await at.client.run({ ...at.request(), output });
    at.clock.set("2026-06-01T10:00:00Z");
    await round(at);
    const [start] = await at.store.schedules.starts("s", 1);
    expect(start).toMatchObject({ state: "skipped" });
    expect(start?.message).toContain(`expected no other run to write there, found run ${run.id}`);
  });
});

describe("after a downtime", () => {
  const cases = [
    ["once", ["14:00 started"], 1],
    ["skip", ["14:00 skipped"], 0],
    ["all", ["11:00 skipped", "12:00 started", "13:00 due", "14:00 due"], 1],
  ] as const;
  for (const [missed, expected, started] of cases) {
    test(`missed times are dealt with by their policy: ${missed}`, async ({ redis, prefix }) => {
      await using at = await open(redis, prefix);
      await declare(at, { missed, missed_limit: 3 });
      at.clock.set("2026-06-01T14:30:00Z");
      expect(await round(at)).toBe(started);
      expect(await told(at)).toEqual(expected);
    });
  }

  test("with an emptied Redis, schedules go on where they were", async ({ redis, prefix }) => {
    await using at = await open(redis, prefix);
    await declare(at);
    at.clock.set("2026-06-01T10:00:00Z");
    await round(at);
    const kept = await redis.keys(`{${prefix}}*`);
    if (kept.length > 0) await redis.del(...kept);
    await at.store.runs.move((await runs(at))[0]?.id ?? "", ["queued"], "succeeded", {});
    expect(await round(at, 2)).toBe(0);
    at.clock.set("2026-06-01T11:00:00Z");
    expect(await round(at, 2)).toBe(1);
    expect(await told(at)).toEqual(["10:00 started", "11:00 started"]);
  });
});

describe("a person", () => {
  test("pauses a schedule and lets it go on: what came in between is not missed", async ({ redis, prefix }) => {
    await using at = await open(redis, prefix);
    await declare(at);
    expect((await at.client.schedules.pause("s")).nextMs).toEqual([]);
    at.clock.set("2026-06-01T12:30:00Z");
    expect(await round(at)).toBe(0);
    const { nextMs } = await at.client.schedules.resume("s");
    expect(nextMs[0]).toBe(Date.parse("2026-06-01T13:00:00Z"));
    expect(await round(at)).toBe(0);
    expect(await told(at)).toEqual([]);
  });

  test("fills times in, one after the other, once, and those that were skipped as well", async ({ redis, prefix }) => {
    await using at = await open(redis, prefix);
    await declare(at, { missed: "skip" });
    at.clock.set("2026-06-01T12:30:00Z");
    await round(at);
    expect(await told(at)).toEqual(["12:00 skipped"]);
    const range = { fromMs: Date.parse("2026-06-01T10:00:00Z"), toMs: Date.parse("2026-06-01T12:00:00Z") };
    expect(await at.client.schedules.backfill("s", range)).toEqual({ times: 3, added: 3 });
    for (let run = 0; run < 3; run += 1) {
      expect(await round(at)).toBe(1);
      expect(await round(at)).toBe(0);
      await at.end((await at.store.schedules.lastStarted("s", 1))[0]?.runId ?? "");
    }
    expect(await told(at)).toEqual(["10:00 started", "11:00 started", "12:00 started"]);
    expect(await at.client.schedules.backfill("s", range)).toEqual({ times: 3, added: 0 });
    const key = startKey("s", range.fromMs);
    expect((await at.store.runs.findByIdempotencyKey(key))?.createdAtMs).toBe(at.clock.nowMs());
  });

  test("is told what is wrong with a range", async ({ redis, prefix }) => {
    await using at = await open(redis, prefix);
    await declare(at, { cron: undefined, every: "1s" });
    const fill = (from: string, to: string) =>
      at.client.schedules.backfill("s", { fromMs: Date.parse(from), toMs: Date.parse(to) });
    await expect(fill("2026-06-01T09:00:00Z", "2026-06-01T08:00:00Z")).rejects.toThrow("from: expected a time before");
    await expect(fill("2026-06-01T09:00:00Z", "2026-06-01T10:00:00Z")).rejects.toThrow("expected a time in the past");
    await expect(fill("2026-05-01T09:00:00Z", "2026-06-01T09:00:00Z")).rejects.toThrow("at most 10000 times");
    await expect(at.client.schedules.get("none")).rejects.toThrow('found no schedule "none"');
  });

  test("cannot declare what may not run, or twice the same name", async ({ redis, prefix }) => {
    await using at = await open(redis, prefix);
    await declare(at);
    await expect(declare(at)).rejects.toThrow("schedule s: expected a new name");
    const bad = { cron: "0 25 * * *", time_zone: "Mars/Base", run: { command: [], input: "in", output: "/o" } };
    await expect(at.client.schedules.create("t", bad)).rejects.toThrow(
      /cron: expected as its hour[^]*time_zone: expected the name of a time zone[^]*run\.command[^]*run\.input/,
    );
    await expect(at.client.schedules.create("../t", { every: "1h", run: at.request() })).rejects.toThrow(
      "name: expected",
    );
  });
});

test("the configuration's schedules are added, changed and removed; those of callers stay", async ({
  redis,
  prefix,
}) => {
  await using at = await open(redis, prefix);
  await declare(at);
  const spec = (change: Change) => parseSchedule({ cron: "0 * * * *", run: at.request(), ...change });
  const reconcile = (schedules: Record<string, ReturnType<typeof spec>>) =>
    reconcileSchedules({ store: at.store, logger: quietLogger, nowMs: at.clock.nowMs() }, schedules);
  expect(await reconcile({ a: spec({}), b: spec({}) })).toBe(2);
  expect(await reconcile({ a: spec({}), b: spec({}) })).toBe(0);
  await expect(at.client.schedules.remove("a")).rejects.toThrow("no configuration declares");
  await expect(at.client.schedules.change("a", { cron: "1 * * * *" })).rejects.toThrow("no configuration declares");
  // Paused by a person, it stays so whatever the configuration changes.
  await at.client.schedules.pause("a");
  expect(await reconcile({ a: spec({ cron: "30 * * * *" }) })).toBe(2);
  const list = await at.client.schedules.list();
  expect(list.map(({ name, source, isPaused, spec: { cron } }) => [name, source, isPaused, cron])).toEqual([
    ["a", "config", true, "30 * * * *"],
    ["s", "api", false, "0 * * * *"],
  ]);
});
