/** What is told of how a run goes, from its hash in a real Redis. */
import { expect } from "vitest";
import { keys, keyPrefix } from "../../../src/contract/queues.ts";
import type { RunRecord } from "../../../src/contract/run-record.ts";
import { RunHash } from "../../../src/platform/run-hash.ts";
import { loadLiveFigures, runStatusOf } from "../../../src/platform/run-status.ts";
import { testSpec } from "../../support/board-fixture.ts";
import { test } from "../../support/redis.ts";
import { reportOf } from "../store/fixtures.ts";

const run = { runId: "r", spec: testSpec(), epoch: 1, state: "running", createdAtMs: 1_000 } as const;
const record: RunRecord = {
  ...{ id: "r", spec: run.spec, epoch: 1, state: "running", createdAtMs: 1_000, startedAtMs: 2_000, endedAtMs: null },
  ...{ counts: null, message: null, idempotencyKey: null, report: null },
};

test("files whose earlier result still held are done and no speed, nor is what is left guessed from them", async ({
  redis,
  prefix,
}) => {
  const kp = keyPrefix(prefix);
  const hash = new RunHash(redis, kp);
  const status = async (nowMs: number) => {
    const [live] = await loadLiveFigures(redis, kp, ["r"]);
    return { live, ...runStatusOf(record, live, [], nowMs) };
  };
  await hash.create(run);
  await hash.set(run, { total: 530, scanned: "1" });
  await hash.count(run, { succeeded: 500, reused: 500 });
  const { progress: reused } = await status(3_000);
  expect(reused).toMatchObject({ doneFiles: 500, filesPerSecond: 0, remainingSeconds: null });
  await hash.count(run, { succeeded: 15, failed: 1 });
  const going = await status(12_000);
  expect(going.progress).toMatchObject({ doneFiles: 516, filesPerSecond: 1.6, remainingSeconds: 14 / 1.6 });
  const ended = { ...record, state: "failed", endedAtMs: 12_000, counts: going.counts } as const;
  const report = { ...reportOf("r"), epoch: 1, reused: 500 };
  const told = [
    runStatusOf(ended, going.live, [], 99_000),
    runStatusOf({ ...ended, report }, undefined, [], 99_000),
    // A report of before the run was resumed counts other files: the live figures stand.
    runStatusOf({ ...ended, report: { ...report, epoch: 0, reused: 0 } }, going.live, [], 99_000),
  ];
  expect(told.map(({ progress }) => progress.filesPerSecond)).toEqual([1.6, 1.6, 1.6]);
  await redis.del(keys.run(kp, "r"), keys.events(kp, "r"));
});
