/** The typed client as another service has it: the entry of the package, over a worker in a process of its own. */
import { createClient, NotFoundError, type Client, type RunEvent } from "headroom";
import { expect, test } from "vitest";
import { FaultCluster, PATIENT, PREFIX } from "../../support/fault-cluster.ts";

const open = (cluster: FaultCluster): Promise<Client> =>
  createClient({ redis: cluster.redisUrl, store: cluster.storeUrl, prefix: PREFIX });

async function allOf(events: AsyncIterable<RunEvent>): Promise<RunEvent[]> {
  const all: RunEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

test("runs, tells what happens to the end, waits and shows", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(12);
  await using client = await open(cluster);
  const { run, created } = await client.run(cluster.spec(), { idempotencyKey: "order-1" });
  expect(created).toBe(true);
  expect(await client.run(cluster.spec(), { idempotencyKey: "order-1" })).toMatchObject({
    ...{ run: { id: run.id }, created: false },
  });
  const told = allOf(client.events(run.id));
  const ended = client.wait(run.id);
  await cluster.worker();
  expect(await ended).toMatchObject({ id: run.id, state: "succeeded", counts: { total: 12, succeeded: 12 } });
  const events = await told;
  const states = events.flatMap((event) => (event.kind === "state" ? [event.state] : []));
  expect(states).toEqual(["queued", "running", "succeeded"]);
  expect(events.at(-1)).toEqual({ kind: "state", state: "succeeded" });
  const succeeded = events.flatMap((event) => (event.kind === "progress" ? [event.changes["succeeded"] ?? 0] : []));
  expect(succeeded.reduce((sum, by) => sum + by, 0)).toBe(12);
  expect(await client.status(run.id)).toMatchObject({ state: "succeeded", progress: { doneFiles: 12 } });
  expect(await allOf(client.events(run.id))).toEqual([{ kind: "state", state: "succeeded" }]);
  await cluster.expectWhole(run.id);
});

test("cancels what runs, and says so to who waits", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(3);
  await using client = await open(cluster);
  const { run } = await client.run(cluster.spec("sleep 600"));
  await cluster.worker();
  await expect.poll(() => cluster.orphans().length, PATIENT).toBeGreaterThan(0);
  const ended = client.wait(run.id);
  expect(await client.cancel(run.id, "seen enough")).toMatchObject({ acknowledged: true, stillRunning: 0 });
  expect(await ended).toMatchObject({ state: "cancelled", counts: { total: 3, cancelled: 3 } });
  for (const call of [client.status("none"), client.cancel("none", "x"), client.wait("none")]) {
    await expect(call).rejects.toBeInstanceOf(NotFoundError);
  }
});

test("takes the folder of a run that the store says has ended, though Redis has not heard of it", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(1);
  await using client = await open(cluster);
  const { run } = await client.run(cluster.spec());
  // As a worker leaves it for a moment between the two, and for longer when it is lost there.
  await cluster.store.runs.move(run.id, ["queued"], "cancelled", { endedAtMs: Date.now() });
  expect(await client.status(run.id)).toMatchObject({ state: "cancelled" });
  const { run: next } = await client.run(cluster.spec());
  expect(await client.status(next.id)).toMatchObject({ state: "queued" });
});
