/** Runs whose jobs are not where their state says, and queues that not every worker may serve. */
import { expect, test } from "vitest";
import { jobIds, keys } from "../../../src/contract/queues.ts";
import { parseRunSpec } from "../../../src/contract/run-request.ts";
import { execPlace, reportPlace } from "../../../src/platform/job-queues.ts";
import { newRunId } from "../../../src/producer/submit.ts";
import { FaultCluster, PATIENT, kp } from "../../support/fault-cluster.ts";

test("the scheduler adds the jobs of a run whose producer died before it did", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(10);
  const spec = parseRunSpec(cluster.spec());
  const id = newRunId(Date.now() - 60_000);
  await cluster.store.runs.create({ id, spec, createdAtMs: Date.now() - 60_000 });
  await cluster.scheduler();
  await cluster.worker();
  expect((await cluster.ended(id)).state).toBe("succeeded");
  await cluster.expectWhole(id);
});

test("a chunk that Redis lost is found missing and run", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(60);
  const spec = cluster.spec("sleep 0.05", { chunk: { maxFiles: 2 } });
  const runId = await cluster.run(spec);
  await cluster.worker();
  const queue = cluster.queues.queue(execPlace(parseRunSpec(spec)).name);
  await expect.poll(() => queue.getWaitingCount(), PATIENT).toBeGreaterThan(5);
  const [lost] = await queue.getWaiting(3, 3);
  await lost?.remove();
  expect((await cluster.ended(runId)).state).toBe("succeeded");
  await cluster.expectWhole(runId);
  expect([...cluster.ends().values()].every((ends) => ends === 1)).toBe(true);
});

test("a report whose worker died after the store was told ends the live side too", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(3);
  const spec = parseRunSpec(cluster.spec());
  await cluster.worker();
  const runId = await cluster.run(spec);
  await cluster.ended(runId);
  await cluster.expectNothingLeft(runId);
  await cluster.keys.hset(keys.run(kp, runId), "state", "running");
  await cluster.keys.persist(keys.run(kp, runId));
  await cluster.keys.hset(keys.outputs(kp), cluster.output, runId);
  const reports = cluster.queues.queue(reportPlace.name);
  const jobId = jobIds.report(runId, 0);
  await (await reports.getJob(jobId))?.remove();
  await reports.add("report", { runId, epoch: 0, traceId: "again" }, { jobId });
  await cluster.expectNothingLeft(runId);
});

test("a file that is tried again in a chunk of its own is tried once more, whoever dies in between", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(30);
  // Each file fails once, and leaves a mark.
  const marks = cluster.scratch.folder("marks");
  const failOnce = `mark="${marks}/\${1##*/}"; if [ ! -e "$mark" ]; then touch "$mark"; exit 7; fi`;
  const runId = await cluster.run(cluster.spec(failOnce));
  let worker = await cluster.worker();
  for (const mark of [3, 10, 20]) {
    await expect.poll(() => cluster.outputs().length, PATIENT).toBeGreaterThan(mark);
    worker.child.kill("SIGKILL");
    await worker.ended();
    worker = await cluster.worker();
  }
  const status = await cluster.ended(runId);
  expect(status.state).toBe("succeeded");
  await cluster.expectWhole(runId);
});

test("each of two workers serves only what its labels allow", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(20);
  await cluster.worker({ id: "red", labels: ["red"] });
  await cluster.worker({ id: "blue", labels: ["blue"] });
  for (const label of ["red", "blue"]) {
    const spec = cluster.spec("sleep 0.01", { resources: { labels: [label] } });
    const runId = await cluster.run(spec);
    expect((await cluster.ended(runId)).state).toBe("succeeded");
    await cluster.expectWhole(runId);
    const workers = new Set<string | null>();
    for await (const row of cluster.store.files.all(runId, 0)) workers.add(row.workerId);
    expect([...workers]).toEqual([label]);
  }
});
