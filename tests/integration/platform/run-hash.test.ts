import { expect } from "vitest";
import { keys, keyPrefix } from "../../../src/contract/queues.ts";
import { RunHash } from "../../../src/platform/run-hash.ts";
import { test } from "../../support/redis.ts";
import { testSpec } from "../../support/board-fixture.ts";

const run = { runId: "r1", spec: testSpec(), epoch: 1, state: "running", createdAtMs: 1_000 } as const;

test("counts what happens while a run goes on, and tells followers", async ({ redis, prefix }) => {
  const kp = keyPrefix(prefix);
  const hash = new RunHash(redis, kp);
  await hash.create(run);
  await hash.count(run, { succeeded: 3, failed: 0 });
  await hash.count(run, { succeeded: 2, retried: 1 });
  expect(await hash.counters("r1")).toMatchObject({ succeeded: 5, failed: 0, retried: 1 });
  expect(await redis.xlen(keys.events(kp, "r1"))).toBe(2);
  await redis.del(keys.run(kp, "r1"), keys.events(kp, "r1"));
});

test("counts nothing that comes late: after the end, from before a resume, or for a run that is not there", async ({
  redis,
  prefix,
}) => {
  const kp = keyPrefix(prefix);
  const hash = new RunHash(redis, kp);
  await hash.create(run);
  await hash.count({ ...run, epoch: 0 }, { succeeded: 7 });
  expect(await hash.move("r1", ["running"], "succeeded", { succeeded: 5 })).toBe(true);
  await hash.count(run, { succeeded: 2 });
  expect(await hash.counters("r1")).toMatchObject({ succeeded: 5 });
  await hash.count({ runId: "gone", epoch: 0 }, { succeeded: 1 });
  expect(await redis.exists(keys.run(kp, "gone"))).toBe(0);
  await redis.del(keys.run(kp, "r1"), keys.events(kp, "r1"));
});
