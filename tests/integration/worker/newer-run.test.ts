/** A run that a newer version has added, with settings that this one does not know, is left alone. */
import { expect, test } from "vitest";
import { keys } from "../../../src/contract/queues.ts";
import { loadHeartbeats } from "../../../src/platform/worker-heartbeats.ts";
import { FaultCluster, kp, PATIENT } from "../../support/fault-cluster.ts";

test(
  "jobs of a run with settings of a newer version wait for a worker that knows them",
  { timeout: 120_000 },
  async () => {
    await using cluster = await FaultCluster.open();
    cluster.files(4);
    const run = await cluster.run(cluster.spec());
    const key = keys.run(kp, run);
    const spec = JSON.parse((await cluster.keys.hget(key, "spec")) ?? "") as { chunk: object };
    const newer = { ...spec, chunk: { ...spec.chunk, madeUp: 1 }, shrunk: true };
    await cluster.keys.hset(key, "spec", JSON.stringify(newer));
    await cluster.scheduler();
    await cluster.worker();
    const waits = async () => (await loadHeartbeats(cluster.keys, kp)).flatMap((beat) => beat.waiting);
    await expect.poll(waits, PATIENT).toContainEqual(
      expect.objectContaining({
        code: "NEWER_PAYLOAD",
        message: "its next job has fields of a newer run: chunk.madeUp, shrunk: upgrade this worker",
      }),
    );
    expect(cluster.outputs()).toEqual([]);
    await cluster.keys.hset(key, "spec", JSON.stringify(spec));
    const { state } = await cluster.ended(run);
    expect(state).toBe("succeeded");
    await cluster.expectWhole(run);
  },
);
