/**
 * The kernel ends something for lack of memory, faster than anybody can measure: it is the job, though the worker is larger,
 * and the job is tried again with more.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bucketBytes } from "../../../src/contract/profiles.ts";
import { parseQueueName } from "../../../src/contract/queues.ts";
import { MiB } from "../../../src/contract/resources.ts";
import { loadHeartbeats } from "../../../src/platform/worker-heartbeats.ts";
import { FaultCluster, kp } from "../../support/fault-cluster.ts";
import { canMakeMemoryCgroup, MemoryCgroup } from "../../support/memory-hogs.ts";

const LIMIT = 768 * MiB;
/** Makes the worker the largest process of the group, whatever a job takes. */
const BALLAST_MIB = 300;
const DECLARED = 16 * MiB;
/** One process, one call: its memory is there, or too much of it, before a sampler has looked twice. */
const leap = "exec dd if=/dev/zero of=/dev/null bs=1G count=1";

/** Runs that are tried until the kernel has been the quicker one. */
const MOST_LEAPS = 20;

/** Reservations of the chunks of the cluster, in the order in which the chunks were made. */
async function reservations(cluster: FaultCluster): Promise<number[]> {
  const found = new Map<string, number>();
  for (const { name } of await cluster.queues.list()) {
    const { jobName, bucket } = parseQueueName(name);
    if (jobName !== "exec") continue;
    for (const job of await cluster.queues.queue(name).getCompleted()) found.set(job.id ?? "", bucketBytes(bucket));
  }
  return [...found].toSorted(([a], [b]) => a.length - b.length).map(([, bytes]) => bytes);
}

test.skipIf(!canMakeMemoryCgroup())(
  "a job that takes the memory of the whole group at once is killed in place of the larger worker, and comes back with more",
  async () => {
    await using cgroup = new MemoryCgroup(LIMIT);
    await using cluster = await FaultCluster.open();
    await cluster.scheduler();
    const worker = await cluster.worker({ id: "node", ballastMiB: BALLAST_MIB }, cgroup.folder);
    expect(rssOf(worker.pid)).toBeGreaterThan(LIMIT / 2);
    cluster.files(1);
    const starts = join(cluster.scratch.path, "starts");
    const behavesLater = `echo >> ${starts}; [ $(wc -l < ${starts}) -gt 2 ] || ${leap}`;
    const resources = { memoryBytes: DECLARED };
    const runId = await cluster.run(cluster.spec(behavesLater, { resources, retry: quickly(5) }));
    await cluster.ended(runId, 60_000);
    await cluster.expectWhole(runId);
    const attempts = await cluster.store.files.attempts(runId, { limit: 10 });
    expect(attempts.map(({ failureClass }) => failureClass)).toEqual(["out-of-memory", "out-of-memory"]);
    const [first = 0, second = 0, third = 0] = await reservations(cluster);
    expect(first).toBeLessThan(2 * DECLARED);
    expect(second).toBeGreaterThan(4 * first);
    expect(third).toBeGreaterThanOrEqual(second);

    // The governor may be there before the kernel, now and then each time; what becomes of the file is the same.
    for (let at = 0; at === 0 || (cgroup.kernelKills === 0 && at < MOST_LEAPS); at += 1) {
      const output = { root: cluster.scratch.folder(`none-${at}`), from: "file" } as const;
      const never = await cluster.run(cluster.spec(leap, { resources, retry: quickly(2), output }));
      expect((await cluster.ended(never, 60_000)).counts).toMatchObject({ failed: 1, quarantined: 0 });
      const [row] = await cluster.store.files.get(never, ["file-0"]);
      expect(row).toMatchObject({ outcome: "failed", failureClass: "out-of-memory", attempts: 2 });
    }
    expect(cgroup.kernelKills).toBeGreaterThan(0);
    expect(worker.child.exitCode ?? worker.child.signalCode).toBeNull();
    const alive = (await loadHeartbeats(cluster.keys, kp)).map(({ workerId, pid }) => ({ workerId, pid }));
    expect(alive).toEqual([{ workerId: "node", pid: worker.pid }]);
  },
);

function quickly(attempts: number) {
  return { "out-of-memory": { attempts, backoffMs: 10, backoffFactor: 1, maxBackoffMs: 10 } };
}

function rssOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1_024;
}
