/** What waits where too little is reserved for it is put where it fits once others of its class have shown what they take. */
import { expect, test } from "vitest";
import { bucketBytes } from "../../../src/contract/profiles.ts";
import { parseQueueName } from "../../../src/contract/queues.ts";
import { MiB } from "../../../src/contract/resources.ts";
import { FaultCluster } from "../../support/fault-cluster.ts";

const DECLARED = 16 * MiB;
const TAKEN = 100 * MiB;

test("jobs that wait with what they declared start with what the first one took, and no attempt is lost", async () => {
  await using cluster = await FaultCluster.open();
  await cluster.scheduler();
  await cluster.worker({ maxProcesses: 1 });
  cluster.files(4);
  const takes = `perl -e 'my $held = "x" x ${TAKEN};'`;
  const spec = cluster.spec(takes, { chunk: { maxFiles: 1 }, resources: { memoryBytes: DECLARED } });
  const runId = await cluster.run(spec);
  await cluster.ended(runId);
  const rows = [];
  for await (const row of cluster.store.files.all(runId, 0)) rows.push(row);
  expect(rows.map(({ outcome, attempts }) => `${outcome} ${attempts}`)).toEqual(Array(4).fill("succeeded 1"));
  expect([...cluster.ends().values()]).toEqual([1, 1, 1, 1]);

  const reserved = new Map<string, number>();
  for (const { name } of await cluster.queues.list()) {
    const { jobName, bucket } = parseQueueName(name);
    if (jobName !== "exec") continue;
    for (const job of await cluster.queues.queue(name).getCompleted()) reserved.set(job.id ?? "", bucketBytes(bucket));
  }
  const isMoved = (id: string) => id.endsWith("-m");
  const [stayed, moved] = [false, true].map((is) => [...reserved].filter(([id]) => isMoved(id) === is));
  // Each was claimed where it waited; all but the first were seen not to fit there.
  expect(stayed?.map(([, bytes]) => bytes < TAKEN)).toEqual([true, true, true, true]);
  expect(moved?.map(([, bytes]) => bytes > TAKEN)).toEqual([true, true, true]);
  await cluster.expectWhole(runId);
});
