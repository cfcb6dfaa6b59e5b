/** Schedules with the embedded `headroom up`, from the configuration and from the command line. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { ScheduleStatus } from "../../../src/contract/schedules.ts";
import { Cli } from "./cli-process.ts";

const PATIENT = { timeout: 60_000, interval: 200 };
const ports = ["--board-port", "0", "--intake-port", "0", "--ops-port", "0"];

test("headroom up starts what the configuration and the command line declare, again and again", async () => {
  await using cli = new Cli();
  cli.scratch.file("in/a.txt", "alpha");
  const { path } = cli.scratch;
  const run = { command: ["/bin/cat", "{input}"], input: join(path, "in"), output: join(path, "out/{time}") };
  cli.scratch.file("up.yaml", JSON.stringify({ schedules: { often: { every: "2s", overlap: "queue", run } } }));
  const up = cli.start(["up", "--json", "--config", "up.yaml", ...ports]);
  await expect.poll(() => up.stdout().includes("\n"), PATIENT).toBe(true);
  const show = (name: string) => cli.json<ScheduleStatus>(["schedules", "show", name, "--json"]);
  const started = async (name: string) => (await show(name)).last.filter(({ state }) => state === "started").length;
  await expect.poll(() => started("often"), PATIENT).toBeGreaterThan(1);
  const [folder = ""] = readdirSync(join(path, "out"));
  await expect.poll(() => readFileSync(join(path, "out", folder, "a.txt.output"), "utf8"), PATIENT).toBe("alpha");
  const removed = await cli.call(["schedules", "remove", "often"]);
  expect([removed.code, removed.stderr.includes("the scheduler's configuration")]).toEqual([2, true]);
  expect((await cli.call(["schedules", "pause", "often"])).stdout).toContain("paused");
  expect((await cli.call(["schedules"])).stdout).toMatch(/often +every 2s +paused/);

  const add = ["schedules", "add", "mine", "--cron", "30 2 * * *", "--time-zone", "Europe/Berlin"];
  const added = await cli.call([...add, "--input", "in", "--output", "mine/{date}", "--", "cat", "{input}"]);
  expect(added.stdout.match(/02:30:00 \+0[12]:00 Europe\/Berlin/g)).toHaveLength(5);
  const filled = await cli.call(["schedules", "backfill", "mine", "--from", "2026-01-01", "--to", "2026-01-02"]);
  expect(filled.stderr).toContain("2 times in the range, 2 to be run");
  await expect.poll(() => started("mine"), PATIENT).toBe(2);
  await expect.poll(() => readdirSync(join(path, "mine")).toSorted(), PATIENT).toEqual(["2026-01-01", "2026-01-02"]);
  expect((await cli.call(["status"])).stdout).toMatch(/scheduler \S+ leads since/);
  up.child.kill("SIGTERM");
  expect((await up.ended).code).toBe(0);
});

test("a wrong expression is told with its field, and a right one with its next times", async () => {
  await using cli = new Cli();
  const wrong = await cli.call(["schedules", "next", "30 25 * * *"]);
  expect([wrong.code, wrong.stderr]).toEqual([
    2,
    expect.stringContaining(
      'cron: expected as its hour *, 0 to 23, a range, a list, or a step such as */2, found "25"',
    ),
  ]);
  const right = await cli.call(["schedules", "next", "30 2 * * *", "--time-zone", "Asia/Tokyo", "--count", "2"]);
  expect(right.stdout.match(/02:30:00 \+09:00 Asia\/Tokyo\n/g)).toHaveLength(2);
  const zone = await cli.call(["schedules", "next", "30 2 * * *", "--time-zone", "Mars/Base"]);
  expect([zone.code, zone.stderr]).toEqual([2, expect.stringContaining('found "Mars/Base"')]);
});
