/** How jobs spread over the workers of a cluster, and how a worker begins jobs of which nothing is known. */
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
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

const isChunk = (jobId: string) => /\.c\d+$/.test(jobId);

/** Chunks that run, by worker. */
async function running(): Promise<Record<string, number>> {
  const beats = await loadHeartbeats(cluster.keys, kp);
  return Object.fromEntries(
    beats.map((beat) => [beat.workerId, beat.running.filter(({ jobId }) => isChunk(jobId)).length]),
  );
}

/** The same, once so many run in all. */
async function spread(jobs: number): Promise<Record<string, number>> {
  const inAll = async () => Object.values(await running()).reduce((sum, count) => sum + count, 0);
  await expect.poll(inAll, PATIENT).toBe(jobs);
  return running();
}

/** Most of so many must be even; what comes after is not looked at. */
const WAVES = 20;

describe("three workers of unequal size", { timeout: 180_000 }, () => {
  it("are loaded alike for what each has when there is less work than room", async () => {
    await cluster.scheduler();
    for (const maxProcesses of [2, 4, 8]) await cluster.worker({ id: `node-${maxProcesses}`, maxProcesses });
    await expect.poll(() => cluster.keys.hlen(keys.loads(kp)), PATIENT).toBe(3);
    cluster.files(7);
    const even = { "node-2": 1, "node-4": 2, "node-8": 4 };
    // A worker that is held up for longer than a job is left to it gets less: of the waves on a busy machine a third is uneven,
    // and more where a worker's own room shrinks for the load of others.
    const waves: Record<string, number>[] = [];
    const evenOnes = () => waves.filter((wave) => isDeepStrictEqual(wave, even)).length;
    while (waves.length < WAVES && evenOnes() <= WAVES / 2) {
      // A folder of its own: workers may let go of that of the wave before a little after its end.
      const output = { root: join(cluster.output, String(waves.length)), from: "file" } as const;
      const run = await cluster.run(cluster.spec("sleep 60", { chunk: { maxFiles: 1 }, output }));
      waves.push(await spread(7));
      await cluster.client.cancel(run, "seen");
      await cluster.client.wait(run);
    }
    expect(evenOnes(), JSON.stringify(waves)).toBeGreaterThan(WAVES / 2);
  });
});

describe("long jobs of a kind that nobody knows", { timeout: 120_000 }, () => {
  it("are begun two at a time, and more of them as soon as these have shown what they take", async () => {
    await cluster.scheduler();
    await cluster.worker({ id: "node", maxProcesses: 8 });
    cluster.files(12);
    const run = await cluster.run(cluster.spec("sleep 60", { chunk: { maxFiles: 1 }, resources: {} }));
    const begun = () => running().then(({ node = 0 }) => node);
    await expect.poll(begun, PATIENT).toBeGreaterThan(0);
    expect(await begun()).toBeLessThanOrEqual(2);
    await expect.poll(begun, PATIENT).toBe(8);
    await cluster.client.cancel(run, "seen");
  });
});
