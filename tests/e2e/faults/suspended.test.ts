/**
 * A job that nobody repeats is stopped where another one would be ended, and nothing stays stopped: it goes on once there is
 * room, or when its worker drains, and it ends when its run is cancelled or its worker killed.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MiB } from "../../../src/contract/resources.ts";
import type { RunningJob } from "../../../src/contract/status.ts";
import { loadHeartbeats } from "../../../src/platform/worker-heartbeats.ts";
import { FaultCluster, kp, PATIENT } from "../../support/fault-cluster.ts";
import type { TsProcess } from "../../support/ts-process.ts";

const DECLARED = 64 * MiB;
/** What all jobs may take: the line of danger is at 186 MiB, the last one at 194. */
const LIMIT = 200 * MiB;
/** Takes so many MiB at once, then one each 100 ms, and is done, or waits until there is a file. */
const TAKE = `
my ($at_once, $more, $until) = @ARGV;
my @held = map { chr(65 + $_ % 26) x 1048576 } 1 .. $at_once;
for (1 .. $more) { push @held, "x" x 1048576; select(undef, undef, undef, 0.1); }
select(undef, undef, undef, 0.05) until !$until || -e $until;
`;

describe("a job that nobody repeats, beside one that leaves it too little memory", () => {
  let cluster: FaultCluster;
  let worker: TsProcess;
  let runId: string;

  beforeEach(async () => {
    cluster = await FaultCluster.open();
    await cluster.scheduler();
    worker = await cluster.worker({ id: "node", memoryMaxBytes: LIMIT, drainMs: 60_000 });
    cluster.file("grower", "grows\n");
    cluster.file("kept", "kept\n");
    writeFileSync(join(cluster.scratch.path, "take.pl"), TAKE);
    const take = `perl ${cluster.scratch.path}/take.pl`;
    const go = join(cluster.scratch.path, "go");
    // The helper of the grower has left its session, and outlives whoever does not look for it.
    const grows = `setsid sleep 600 & ${take} 95 50; echo grown >> ${cluster.scratch.path}/grown`;
    const spec = cluster.spec(`case "$1" in *grower) ${grows};; *) ${take} 55 0 ${go};; esac`, {
      ...{ chunk: { maxFiles: 1 }, resources: { memoryBytes: DECLARED } },
      retry: { "out-of-memory": { attempts: 1, backoffMs: 10, backoffFactor: 1, maxBackoffMs: 10 } },
    });
    runId = await cluster.run(spec);
    await expect.poll(() => enforced(), PATIENT).toMatchObject({ enforced: { state: "suspended" } });
    await expect.poll(() => stopped(cluster), PATIENT).toBeGreaterThanOrEqual(3);
  });

  afterEach(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  /** The job that something is done to, as its worker tells it. */
  async function enforced(): Promise<RunningJob | undefined> {
    const [node] = await loadHeartbeats(cluster.keys, kp);
    return node?.running.find((job) => job.enforced !== null);
  }

  async function holder(jobId: string): Promise<string | undefined> {
    const queues = await cluster.queues.list();
    const holders = await Promise.all(queues.map(({ name }) => cluster.holderOf(name, jobId)));
    return holders.find((id) => id !== undefined);
  }

  const letGo = () => {
    writeFileSync(join(cluster.scratch.path, "go"), "");
  };
  const grown = () => readFileSync(join(cluster.scratch.path, "grown"), "utf8");

  test("is stopped, keeps its lock, goes on once that one has ended, and does its work in one attempt", async () => {
    const job = await enforced();
    expect(job?.enforced?.message).toMatch(/^memory-limit: 1\d\d MiB of 200 MiB of the worker.memory_max in use/);
    expect(job?.endsAtMs).toBeNull();
    const told = await cluster.client.explain(runId);
    expect(told.reasons.map(({ message }) => message).join("\n")).toContain("suspended: memory-limit");
    // Three times as long as a lock holds.
    const stoodFromMs = performance.now();
    await expect.poll(() => performance.now() - stoodFromMs, PATIENT).toBeGreaterThan(6_000);
    expect(await holder(job?.jobId ?? "")).toBe("node");
    expect((await enforced())?.jobId).toBe(job?.jobId);
    letGo();
    const status = await cluster.ended(runId);
    expect(status.counts).toMatchObject({ total: 2, succeeded: 2 });
    expect(grown()).toBe("grown\n");
    const [row] = await cluster.store.files.get(runId, ["grower"]);
    expect(row).toMatchObject({ outcome: "succeeded", attempts: 1 });
    await cluster.expectWhole(runId);
  });

  test("goes on when its worker drains", async () => {
    worker.child.kill("SIGTERM");
    await expect.poll(() => stopped(cluster), PATIENT).toBe(0);
    letGo();
    expect(await worker.ended()).toBe(0);
    expect(cluster.orphans()).toEqual([]);
    expect(grown()).toBe("grown\n");
  });

  test("ends when its run is cancelled", async () => {
    const askedMs = performance.now();
    await cluster.client.cancel(runId, "asked by the test");
    await expect.poll(() => cluster.orphans(), PATIENT).toEqual([]);
    expect(performance.now() - askedMs).toBeLessThan(3_000);
    expect((await cluster.ended(runId)).counts).toMatchObject({ total: 2, cancelled: 2 });
  });

  test("ends when its worker is killed, and is done by the next one", async () => {
    worker.child.kill("SIGKILL");
    await worker.ended();
    await expect.poll(() => cluster.orphans(), PATIENT).toEqual([]);
    letGo();
    await cluster.worker({ id: "next", memoryMaxBytes: 2 * LIMIT });
    expect((await cluster.ended(runId)).counts).toMatchObject({ total: 2, succeeded: 2 });
  });

  test("is ended by the next worker of the machine when its own was killed together with its launcher", async () => {
    const launcher = launcherOf(worker.pid);
    worker.child.kill("SIGKILL");
    process.kill(launcher, "SIGKILL");
    await worker.ended();
    // What has left the session hears of nothing.
    expect(cluster.orphans().length).toBeGreaterThan(0);
    letGo();
    await cluster.worker({ id: "next", memoryMaxBytes: 2 * LIMIT });
    expect((await cluster.ended(runId)).counts).toMatchObject({ total: 2, succeeded: 2 });
    await expect.poll(() => cluster.orphans(), PATIENT).toEqual([]);
  });
});

/** How many processes of the jobs stand still. */
function stopped(cluster: FaultCluster): number {
  return cluster.orphans().filter((pid) => statOf(pid)[0] === "T").length;
}

function launcherOf(worker: number): number {
  const found = readdirSync("/proc").find((name) => {
    if (!/^\d+$/.test(name) || statOf(Number(name))[1] !== String(worker)) return false;
    return readFileSync(`/proc/${name}/cmdline`, "latin1").includes("launcher.pl");
  });
  return Number(found);
}

/** State, parent, … of a process; nothing when it is gone. */
function statOf(pid: number): string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return [];
  }
}
