/** Law 7: whatever a run or a job waits for, `explain` says it; the governor's own reasons are in admit-then-claim. */
import { expect, test } from "vitest";
import { parseRunSpec } from "../../../src/contract/run-request.ts";
import { execPlace } from "../../../src/platform/job-queues.ts";
import { FaultCluster, PATIENT } from "../../support/fault-cluster.ts";

test("a run says in turn that no worker is there, none that may, a paused queue, and another try to come", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(2);
  const retry = { exit: { attempts: 5, backoffMs: 60_000, backoffFactor: 1, maxBackoffMs: 60_000 } };
  const spec = cluster.spec("exit 7", { chunk: { maxFiles: 1 }, resources: { labels: ["rare"] }, retry });
  const queue = cluster.queues.queue(execPlace(parseRunSpec(spec)).name);
  const runId = await cluster.run(spec);
  const codes = async (id: string) => (await cluster.client.explain(id)).reasons.map(({ code }) => code);
  expect(await codes(runId)).toContain("no-worker");
  await queue.pause();
  await cluster.worker({ id: "plain" });
  await expect.poll(() => codes(runId), PATIENT).toContain("no-worker-with-labels");
  await cluster.worker({ id: "rare", labels: ["rare"] });
  await expect.poll(() => codes(runId), PATIENT).toContain("queue-paused");
  for (const job of await queue.getJobs(["wait", "prioritized"]))
    expect(await codes(job.id ?? "")).toContain("queue-paused");
  await queue.resume();
  await expect.poll(() => queue.getDelayedCount(), PATIENT).toBe(2);
  for (const id of [runId, ...(await queue.getDelayed()).map((job) => job.id ?? "")]) {
    const { reasons } = await cluster.client.explain(id);
    expect(reasons.find(({ code }) => code === "backoff")?.message).toContain("after exit of file-");
  }
  await cluster.scheduler();
  await cluster.client.cancel(runId, "seen enough");
  expect((await cluster.ended(runId)).state).toBe("cancelled");
  expect(await codes(runId)).toEqual(["ended"]);
});
