/** Workers that are drained, stopped past their lock or killed while a file runs: who is blamed, and who may publish. */
import { DatabaseSync } from "@photostructure/sqlite";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { execPlace } from "../../../src/platform/job-queues.ts";
import { parseRunSpec, type RunSpecInput } from "../../../src/contract/run-request.ts";
import { FaultCluster, PATIENT, kp } from "../../support/fault-cluster.ts";

/** A job that waits for the file `go`, after it wrote half of an output. */
function waiting(cluster: FaultCluster): { go: () => void; first: string } {
  const path = join(cluster.scratch.path, "go");
  return {
    go: () => {
      writeFileSync(path, "");
    },
    first: `echo half > "$2"; while [ ! -e ${path} ]; do sleep 0.02; done`,
  };
}

async function heldChunk(cluster: FaultCluster, spec: RunSpecInput, workerId: string): Promise<string> {
  const queue = execPlace(parseRunSpec(spec)).name;
  let held: string | undefined;
  await expect
    .poll(async () => {
      for (const job of await cluster.queues.queue(queue).getActive()) {
        if ((await cluster.holderOf(queue, job.id ?? "")) === workerId) held = job.id;
      }
      return held;
    }, PATIENT)
    .toBeDefined();
  return held ?? "";
}

test("a file that runs during three drains is blamed for none of them", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(1);
  const { go, first } = waiting(cluster);
  const runId = await cluster.run(cluster.spec(first));
  for (const signal of ["SIGTERM", "SIGINT", "SIGTERM"] as const) {
    const worker = await cluster.worker({ drainMs: 50 });
    await expect.poll(() => cluster.orphans().length, PATIENT).toBeGreaterThan(0);
    worker.child.kill(signal);
    expect(await worker.ended()).toBe(0);
    expect(cluster.orphans()).toEqual([]);
    expect(cluster.found()).toEqual([]);
  }
  await cluster.worker();
  await expect.poll(() => cluster.orphans().length, PATIENT).toBeGreaterThan(0);
  expect(await cluster.keys.hgetall(`${kp}:crashes`)).toEqual({});
  go();
  const status = await cluster.ended(runId);
  expect(status.counts).toMatchObject({ succeeded: 1, quarantined: 0 });
  await cluster.expectWhole(runId);
});

test("a lock that Redis lost blames nobody while the worker that held it lives", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(1);
  const { go, first } = waiting(cluster);
  const spec = cluster.spec(first);
  const queue = execPlace(parseRunSpec(spec)).name;
  const runId = await cluster.run(spec);
  await cluster.worker({ id: "one", lockMs: 4_000 });
  await cluster.worker({ id: "two", lockMs: 4_000 });
  for (let starts = 1; starts <= 4; starts += 1) {
    await expect.poll(() => cluster.orphans().length, PATIENT).toBeGreaterThan(0);
    const [job] = await cluster.queues.queue(queue).getActive();
    const key = `${kp}:${queue}:${job?.id ?? ""}`;
    await cluster.keys.del(`${key}:lock`);
    await expect.poll(() => cluster.keys.hget(key, "ats"), PATIENT).toBe(String(starts + 1));
  }
  go();
  const status = await cluster.ended(runId);
  expect(status.counts).toMatchObject({ succeeded: 1, quarantined: 0 });
  await cluster.expectWhole(runId);
});

test("a file that failed before its worker was drained is not taken for a crash", async () => {
  await using cluster = await FaultCluster.open();
  cluster.file("bad", "bad\n");
  cluster.file("slow", "slow\n");
  const { go, first } = waiting(cluster);
  const spec = cluster.spec(`case "$1" in *bad) exit 3;; esac; ${first}`);
  const runId = await cluster.run(spec);
  const worker = await cluster.worker({ drainMs: 50, maxProcesses: 1 });
  await expect.poll(() => cluster.orphans().length, PATIENT).toBeGreaterThan(0);
  worker.child.kill("SIGTERM");
  await worker.ended();
  await cluster.worker();
  go();
  const status = await cluster.ended(runId);
  expect(status.counts).toMatchObject({ succeeded: 1, failed: 1 });
  expect(await cluster.keys.hgetall(`${kp}:crashes`)).toEqual({});
});

test("a worker that was stopped past its lock publishes nothing and goes on", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(1);
  const { go, first } = waiting(cluster);
  const spec = cluster.spec(first);
  const runId = await cluster.run(spec);
  const late = await cluster.worker({ id: "late" });
  const chunk = await heldChunk(cluster, spec, "late");
  await expect.poll(() => cluster.orphans().length, PATIENT).toBeGreaterThan(0);
  await cluster.stall([late]);
  const other = await cluster.worker({ id: "other" });
  const before = cluster.found();
  await expect.poll(() => heldChunk(cluster, spec, "other"), PATIENT).toBe(chunk);
  // The other one's process has begun when its temporary file has taken the place of this one's.
  await expect.poll(() => cluster.found(), PATIENT).not.toEqual(before);
  await expect.poll(() => cluster.found().length, PATIENT).toBe(1);
  go();
  await cluster.ended(runId);
  const inode = cluster.inode("file-0.output");
  late.child.kill("SIGCONT");
  await expect
    .poll(() => cluster.store.files.attempts(runId, { limit: 10 }), PATIENT)
    .toMatchObject([{ end: "fenced", workerId: "late" }]);
  expect(cluster.inode("file-0.output")).toBe(inode);
  await cluster.expectWhole(runId);
  other.child.kill("SIGTERM");
  expect(await other.ended()).toBe(0);
  cluster.files(20, "more");
  const next = await cluster.run(cluster.spec());
  expect((await cluster.ended(next)).state).toBe("succeeded");
  await cluster.expectWhole(next);
});

test("what was published before its worker was killed is adopted, not run again, though it had no row", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(2);
  const { go, first } = waiting(cluster);
  const killed = await cluster.worker();
  const runId = await cluster.run(cluster.spec(first));
  await expect.poll(() => cluster.found().length, PATIENT).toBe(2);
  const other = new DatabaseSync(cluster.storeUrl.replace("sqlite:", ""));
  other.exec("begin immediate");
  go();
  await expect.poll(() => cluster.outputs(), PATIENT).toHaveLength(2);
  killed.child.kill("SIGKILL");
  await killed.ended();
  other.exec("rollback");
  other.close();
  const inodes = cluster.outputs().map((name) => cluster.inode(name));
  await cluster.worker();
  expect((await cluster.ended(runId)).state).toBe("succeeded");
  await cluster.expectWhole(runId);
  expect(cluster.outputs().map((name) => cluster.inode(name))).toEqual(inodes);
  expect([...cluster.ends().values()]).toEqual([1, 1]);
  expect(await cluster.keys.hgetall(`${kp}:crashes`)).toEqual({});
});

test("two workers that are both stopped past their locks and wake late publish nothing twice", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(120);
  const spec = cluster.spec("sleep 0.02", { chunk: { maxFiles: 20 } });
  const late = [await cluster.worker({ id: "late-1" }), await cluster.worker({ id: "late-2" })];
  const runId = await cluster.run(spec);
  await expect.poll(() => cluster.outputs().length, PATIENT).toBeGreaterThan(20);
  await cluster.stall(late);
  await cluster.worker({ id: "other" });
  expect((await cluster.ended(runId)).state).toBe("succeeded");
  const inodes = new Map(cluster.outputs().map((name) => [name, cluster.inode(name)]));
  for (const worker of late) {
    worker.child.kill("SIGCONT");
    worker.child.kill("SIGTERM");
    expect(await worker.ended()).toBe(0);
  }
  const attempts = await cluster.store.files.attempts(runId, { limit: 1_000 });
  const fenced = new Set(attempts.filter(({ end }) => end === "fenced").map(({ path }) => `${path}.output`));
  const replaced = [...inodes].filter(([name, inode]) => cluster.inode(name) !== inode).map(([name]) => name);
  expect(replaced.filter((name) => !fenced.has(name))).toEqual([]);
  await cluster.expectWhole(runId);
  expect(await cluster.keys.hgetall(`${kp}:crashes`)).toEqual({});
});

test("a worker that is drained while files wait for their next try leaves them to others", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(10);
  const marks = cluster.scratch.folder("marks");
  const failOnce = `mark="${marks}/\${1##*/}"; if [ ! -e "$mark" ]; then touch "$mark"; exit 7; fi`;
  const runId = await cluster.run(cluster.spec(failOnce));
  const drained = await cluster.worker();
  await expect.poll(() => readdirSync(marks).length, PATIENT).toBe(10);
  drained.child.kill("SIGTERM");
  expect(await drained.ended()).toBe(0);
  await cluster.worker();
  expect((await cluster.ended(runId)).state).toBe("succeeded");
  await cluster.expectWhole(runId);
  expect([...cluster.ends().values()].every((ends) => ends === 1)).toBe(true);
  expect(await cluster.keys.hgetall(`${kp}:crashes`)).toEqual({});
});

test("a scan whose worker is killed in the middle loses no file and repeats none", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(400);
  // One file to a chunk: the scan waits for its window, and is in the middle for long.
  const runId = await cluster.run(cluster.spec("sleep 0.01", { chunk: { maxFiles: 1 } }));
  const scanning = await cluster.worker({ id: "scanning" });
  await scanning.line("claimed scan");
  await cluster.worker({ id: "other" });
  await expect.poll(() => cluster.outputs().length, PATIENT).toBeGreaterThan(30);
  expect((await cluster.client.status(runId)).progress.isScanned).toBe(false);
  scanning.child.kill("SIGKILL");
  expect((await cluster.ended(runId)).state).toBe("succeeded");
  await cluster.expectWhole(runId);
  const repeated = [...cluster.ends()].filter(([, ends]) => ends > 1).length;
  // What the killed worker held may have come to its end without being published.
  expect(repeated).toBeLessThanOrEqual(4);
});

test("a worker ends in time when it is drained while redis is away", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(1);
  const { go, first } = waiting(cluster);
  const runId = await cluster.run(cluster.spec(first));
  const worker = await cluster.worker({ drainMs: 100, stopMs: 3_000 });
  await expect.poll(() => cluster.orphans().length, PATIENT).toBeGreaterThan(0);
  await cluster.redis.kill();
  worker.child.kill("SIGTERM");
  expect(await worker.ended()).toBe(1);
  await expect.poll(() => cluster.orphans(), PATIENT).toEqual([]);
  await cluster.redis.restart();
  await cluster.worker();
  go();
  expect((await cluster.ended(runId)).state).toBe("succeeded");
  await cluster.expectWhole(runId);
});
