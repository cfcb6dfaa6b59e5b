/** Limits of the machine that a person changes count at once, for the better too: what was held for those before is let go. */
import { expect, test } from "vitest";
import { parseLimits, type Limits } from "../../../../src/contract/limits.ts";
import { settingsWith } from "../../../../src/worker/live-limits.ts";
import { StagedWorker } from "../../../support/staged-worker.ts";

const rows: readonly [name: keyof Limits, strict: unknown, mild: unknown, code: string][] = [
  ["memory_max", "64MiB", "256MiB", "UNSCHEDULABLE"],
  ["disk_free", "5GiB", "3.5GiB", "DISK_SPACE"],
  ["disk_free_inodes", 600_000, 450_000, "DISK_INODES"],
  ["io_pressure_percent", 10, 30, "PSI_IO"],
  ["max_temperature", 85, 93, "HOT"],
  ["max_watts", 100, 170, "POWER"],
];

test.each(rows)("%s holds jobs back and lets them in while a job runs", async (name, strict, mild, code) => {
  await using stage = await new StagedWorker().start();
  stage.watts(160);
  const set = (value: unknown) => {
    stage.governor.configure(settingsWith({}, parseLimits({ [name]: value })));
  };
  stage.begin("running", stage.ask(32));
  await stage.until("admit");
  set(strict);
  await stage.until(code);
  set(mild);
  expect(stage.asks()?.message).toBeUndefined();
  set(strict);
  await stage.until(code);
  stage.governor.configure(settingsWith({}, {}));
  expect(stage.asks()?.message).toBeUndefined();
});
