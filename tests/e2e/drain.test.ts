/**
 * Drains with work in progress, by request and by signal: nothing is interrupted that ends within the grace, no attempt is
 * burned, and what cannot end is handed back. `DRAINS` says how often the first test drains.
 */
import { expect, test } from "vitest";
import { keys } from "../../src/contract/queues.ts";
import { requestDrain, undoDrain } from "../../src/platform/drain-requests.ts";
import { loadHeartbeats } from "../../src/platform/worker-heartbeats.ts";
import { FaultCluster, kp, PATIENT } from "../support/fault-cluster.ts";
import { quietLogger } from "../support/quiet-logger.ts";

const DRAINS = Number(process.env["DRAINS"] ?? 6);

const depsOf = (cluster: FaultCluster) => ({ redis: cluster.keys, kp, logger: quietLogger });

async function heldBy(cluster: FaultCluster, id: string) {
  const beat = (await loadHeartbeats(cluster.keys, kp)).find(({ workerId }) => workerId === id);
  return beat && { state: beat.state, running: beat.running.length };
}

/** Asks for a drain while the worker holds jobs, waits until it holds none, and lets it go on. */
async function drainAndUndo(cluster: FaultCluster, id: string): Promise<void> {
  await expect.poll(async () => (await heldBy(cluster, id))?.running ?? 0, PATIENT).toBeGreaterThan(0);
  await requestDrain(depsOf(cluster), id, { atMs: Date.now(), graceMs: null });
  await expect.poll(() => heldBy(cluster, id), PATIENT).toEqual({ state: "draining", running: 0 });
  await undoDrain(depsOf(cluster), id);
  await expect.poll(async () => (await heldBy(cluster, id))?.state, PATIENT).toBe("working");
}

async function attemptsOf(cluster: FaultCluster, runId: string): Promise<number[]> {
  const attempts: number[] = [];
  for await (const row of cluster.store.files.all(runId, 0)) attempts.push(row.attempts);
  return attempts;
}

test(`${DRAINS} drains with work in progress interrupt nothing and burn no attempt`, { timeout: 900_000 }, async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(DRAINS * 40);
  // Chunks of many files: a drain must not wait for all of them, and none of them may begin twice.
  const runId = await cluster.run(cluster.spec("sleep 0.1", { chunk: { maxFiles: 40, maxBytes: 1e9 } }));
  await cluster.scheduler();
  await cluster.worker({ id: "w0", drainMs: 60_000 });
  let signalled = 0;
  for (let at = 0; at < DRAINS; at += 1) {
    const id = `w${signalled}`;
    if (at % 3 < 2) await drainAndUndo(cluster, id);
    else {
      await expect.poll(async () => (await heldBy(cluster, id))?.running ?? 0, PATIENT).toBeGreaterThan(0);
      cluster.processes.get(id)?.child.kill("SIGTERM");
      expect(await cluster.processes.get(id)?.ended()).toBe(0);
      signalled += 1;
      await cluster.worker({ id: `w${signalled}`, drainMs: 60_000 });
    }
  }
  expect((await cluster.ended(runId, 600_000)).state).toBe("succeeded");
  const repeated = [...cluster.ends()].filter(([, ends]) => ends !== 1);
  expect(repeated, "files whose process ended more or less than once").toEqual([]);
  expect((await attemptsOf(cluster, runId)).filter((attempts) => attempts !== 1)).toEqual([]);
  expect(await cluster.keys.hgetall(keys.crashes(kp))).toEqual({});
  await cluster.expectWhole(runId);
});

test("what cannot end within the grace is handed back to another worker, and burns no attempt", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(1);
  const marks = cluster.scratch.folder("marks");
  // For ever at the first start, at once at the second.
  const runId = await cluster.run(cluster.spec(`if mkdir ${marks}/first; then sleep 600; fi`));
  await cluster.worker({ id: "leaving", drainMs: 60_000 });
  await expect.poll(() => heldBy(cluster, "leaving"), PATIENT).toMatchObject({ running: 1 });
  await expect.poll(() => cluster.orphans().length, PATIENT).toBeGreaterThan(0);
  await cluster.worker({ id: "staying" });
  await requestDrain(depsOf(cluster), "leaving", { atMs: Date.now(), graceMs: 300 });
  await expect.poll(() => heldBy(cluster, "leaving"), PATIENT).toEqual({ state: "draining", running: 0 });
  expect((await cluster.ended(runId)).state).toBe("succeeded");
  expect(await attemptsOf(cluster, runId)).toEqual([1]);
  expect(await cluster.keys.hgetall(keys.crashes(kp))).toEqual({});
});

test("a worker that is asked to drain before it starts claims nothing until it may", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(3);
  const runId = await cluster.run(cluster.spec());
  await requestDrain(depsOf(cluster), "early", { atMs: Date.now(), graceMs: null });
  const early = await cluster.worker({ id: "early" });
  await expect.poll(() => heldBy(cluster, "early"), PATIENT).toEqual({ state: "draining", running: 0 });
  expect(early.output()).not.toContain("claimed");
  await undoDrain(depsOf(cluster), "early");
  expect((await cluster.ended(runId)).state).toBe("succeeded");
});
