/** What a leader takes out of the queues when a run is cancelled, and what it leaves. */
import { writeFileSync } from "node:fs";
import { expect } from "vitest";
import { requestCancel } from "../../../src/platform/cancel-run.ts";
import { reportPlace, scanPlace } from "../../../src/platform/job-queues.ts";
import { liveFields } from "../../../src/platform/run-hash.ts";
import { jobIds } from "../../../src/contract/queues.ts";
import { sweepCancelled } from "../../../src/scheduler/sweep.ts";
import { test } from "../../support/redis.ts";
import { openScheduler } from "../../support/scheduler-fixture.ts";

test("what waits of a cancelled run goes, but for the root of a run below it, which writes that run's end", async ({
  redis,
  prefix,
}) => {
  await using at = await openScheduler(redis, prefix, new Date().toISOString());
  writeFileSync(`${at.folder}/a`, "a");
  const { run } = await at.client.run({ ...at.request(), executor: "noop" });
  const deps = at.deps();
  const below = { runId: `${run.id}~files`, epoch: 0, traceId: run.id };
  const spec = { ...run.spec, parent: { runId: run.id, epoch: 0, path: "files" } };
  const live = liveFields({ spec, epoch: 0, state: "running", createdAtMs: run.createdAtMs });
  // All of its jobs have ended: its root waits for a worker.
  await deps.queues.addRun(below, spec, [], live);
  const stateOf = async (id: string) => (await deps.queues.queue(reportPlace.name).getJob(id))?.getState();
  expect(await stateOf(jobIds.report(below.runId, 0))).toBe("waiting");
  await requestCancel(deps, run.id, "enough");
  expect(await sweepCancelled(deps, run.id)).toBe(1);
  expect(await deps.queues.queue(scanPlace.name).getJobCountByTypes("waiting")).toBe(0);
  expect(await stateOf(jobIds.report(below.runId, 0))).toBe("waiting");
  expect(await stateOf(jobIds.report(run.id, 0))).toBe("waiting-children");
});
