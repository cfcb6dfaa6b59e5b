/** Jobs spread over the workers of a cluster by what each has, whoever wakes first. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { keys } from "../../../src/contract/queues.ts";
import { loadHeartbeats } from "../../../src/platform/worker-heartbeats.ts";
import { FaultCluster, kp, PATIENT } from "../../support/fault-cluster.ts";

let cluster: FaultCluster;
beforeEach(async () => {
  cluster = await FaultCluster.open();
});
afterEach(async () => {
  await cluster[Symbol.asyncDispose]();
});

/** Running job processes by worker, once all of them run. */
async function spread(jobs: number): Promise<Record<string, number>> {
  let found: Record<string, number> = {};
  await expect
    .poll(async () => {
      const beats = await loadHeartbeats(cluster.keys, kp);
      found = Object.fromEntries(
        beats.map(({ workerId, running }) => [workerId, running.filter(({ jobId }) => isChunk(jobId)).length]),
      );
      return Object.values(found).reduce((sum, count) => sum + count, 0);
    }, PATIENT)
    .toBe(jobs);
  return found;
}

const isChunk = (jobId: string) => /\.c\d+$/.test(jobId);

describe("three workers of unequal size", { timeout: 120_000 }, () => {
  it("are loaded alike for what each has when there is less work than room", async () => {
    await cluster.scheduler();
    for (const maxProcesses of [2, 4, 8]) await cluster.worker({ id: `node-${maxProcesses}`, maxProcesses });
    await expect.poll(() => cluster.keys.hlen(keys.loads(kp)), PATIENT).toBe(3);
    cluster.files(7);
    const run = await cluster.run(cluster.spec("sleep 60", { chunk: { maxFiles: 1 } }));
    expect(await spread(7)).toEqual({ "node-2": 1, "node-4": 2, "node-8": 4 });
    await cluster.client.cancel(run, "seen");
  });
});
