/** Law 6: how many files a run has shows neither in the jobs that wait in Redis nor in the keys that it leaves. */
import { expect, test } from "vitest";
import { parseRunSpec } from "../../../src/contract/run-request.ts";
import { isTerminal } from "../../../src/contract/outcomes.ts";
import { execPlace } from "../../../src/platform/job-queues.ts";
import { FaultCluster, PATIENT } from "../../support/fault-cluster.ts";

/** More than the window of chunks that may wait, and what one addition may put on top. */
const MOST_JOBS = 200;

test("a run of twenty thousand files holds a window of chunks in Redis, and leaves no key per file", async () => {
  await using cluster = await FaultCluster.open();
  await cluster.scheduler();
  await cluster.worker();
  const spec = {
    ...cluster.spec(),
    executor: "noop" as const,
    input: { kind: "synthetic" as const, root: cluster.input, count: 20_000 },
    chunk: { maxFiles: 20 },
  };
  const queue = cluster.queues.queue(execPlace(parseRunSpec(spec)).name);
  const runId = await cluster.run(spec);
  let mostJobs = 0;
  const isOver = async () => {
    const counts = await queue.getJobCounts("wait", "prioritized", "active", "delayed", "completed", "failed");
    mostJobs = Math.max(
      mostJobs,
      Object.values(counts).reduce((sum, count) => sum + count, 0),
    );
    return isTerminal((await cluster.client.status(runId)).state);
  };
  await expect.poll(isOver, PATIENT).toBe(true);
  expect((await cluster.ended(runId)).counts).toMatchObject({ total: 20_000, succeeded: 20_000 });
  expect(mostJobs).toBeGreaterThan(0);
  expect(mostJobs).toBeLessThan(MOST_JOBS);
  expect(await cluster.keys.dbsize()).toBeLessThan(MOST_JOBS);
});
