/** Laws 1 and 7: what has no room is not fetched, costs no attempt, holds no lock, and says why it waits. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseRunSpec } from "../../../src/contract/run-request.ts";
import { execPlace } from "../../../src/platform/job-queues.ts";
import { FaultCluster, kp, PATIENT } from "../../support/fault-cluster.ts";

test("a worker with one place claims one job; the others wait untouched, each with a reason", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(4);
  const go = join(cluster.scratch.path, "go");
  const spec = cluster.spec(`while [ ! -e ${go} ]; do sleep 0.02; done`, { chunk: { maxFiles: 1 } });
  const name = execPlace(parseRunSpec(spec)).name;
  const queue = cluster.queues.queue(name);
  await cluster.scheduler();
  await cluster.worker({ maxProcesses: 1 });
  const runId = await cluster.run(spec);
  await expect.poll(() => queue.getJobCounts("active", "wait", "prioritized"), PATIENT).toMatchObject({ active: 1 });
  await expect.poll(async () => (await queue.getJobs(["wait", "prioritized"])).length, PATIENT).toBe(3);
  for (const job of await queue.getJobs(["wait", "prioritized"])) {
    const id = job.id ?? "";
    expect(job).toMatchObject({ attemptsStarted: 0, attemptsMade: 0, stalledCounter: 0 });
    expect(await cluster.keys.exists(`${kp}:${name}:${id}:lock`)).toBe(0);
    const codes = async () => (await cluster.client.explain(id)).reasons.map(({ code }) => code);
    await expect.poll(codes, PATIENT).toContain("PROCESSES");
  }
  writeFileSync(go, "");
  const status = await cluster.ended(runId);
  expect(status.counts).toMatchObject({ total: 4, succeeded: 4 });
  await cluster.expectWhole(runId);
});
