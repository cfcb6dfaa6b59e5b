/** A cancel from another process reaches what runs, within two seconds, and leaves nothing. */
import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { FaultCluster, PATIENT } from "../../support/fault-cluster.ts";

test("ends processes that ignore TERM and their grandchildren, and says so", async () => {
  await using cluster = await FaultCluster.open();
  // Chunks of one file each, for nobody knows how long they take: as many as a scan adds before one has ended.
  cluster.files(20);
  await cluster.scheduler();
  await cluster.worker();
  await cluster.worker();
  const runId = await cluster.run(cluster.spec(`trap '' TERM; echo half > "$2"; (setsid sleep 600) & sleep 600`));
  await expect.poll(() => cluster.orphans().length, PATIENT).toBeGreaterThanOrEqual(6);
  // A cancel that comes before the scan has ended counts what was found until then.
  await expect.poll(() => cluster.isScanned(runId), PATIENT).toBe(true);
  const askedMs = performance.now();
  const acknowledged = cluster.client.cancel(runId, "asked by the test");
  await expect.poll(() => cluster.orphans(), { timeout: 30_000, interval: 10 }).toEqual([]);
  expect(performance.now() - askedMs).toBeLessThan(2_000);
  expect(await acknowledged).toMatchObject({ state: "cancelled", acknowledged: true, stillRunning: 0 });
  const status = await cluster.ended(runId);
  expect(status.counts).toMatchObject({ total: 20, cancelled: 20 });
  await expectEmpty(cluster);
  await cluster.expectNothingLeft(runId);
});

test("clears away what a killed worker left of a run that is cancelled then", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(5);
  await cluster.scheduler();
  const killed = await cluster.worker();
  const runId = await cluster.run(cluster.spec(`echo half > "$2"; sleep 600`));
  await expect.poll(() => cluster.found().length, PATIENT).toBeGreaterThanOrEqual(2);
  await expect.poll(() => cluster.isScanned(runId), PATIENT).toBe(true);
  killed.child.kill("SIGKILL");
  await killed.ended();
  await expect.poll(() => cluster.orphans(), PATIENT).toEqual([]);
  await cluster.client.cancel(runId, "asked by the test");
  await cluster.worker();
  const status = await cluster.ended(runId);
  expect(status.counts).toMatchObject({ total: 5, cancelled: 5 });
  await expectEmpty(cluster);
  await cluster.expectNothingLeft(runId);
});

/** Nothing at all is left in the output folder. The store is told of the end before the folder is given back. */
async function expectEmpty({ output }: FaultCluster): Promise<void> {
  await expect.poll(() => readdirSync(output), PATIENT).toEqual([]);
}
