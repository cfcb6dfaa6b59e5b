/** What is set for a profile counts for jobs that wait, wherever they wait, and not for those that run. */
import { describe, expect, test } from "vitest";
import { ALL_WORKERS } from "../../../src/contract/limits.ts";
import { keys } from "../../../src/contract/queues.ts";
import { MiB } from "../../../src/contract/resources.ts";
import { resetLimits, setLimits } from "../../../src/platform/limits.ts";
import { resetProfiles, setProfile } from "../../../src/platform/profile-changes.ts";
import { loadHeartbeats } from "../../../src/platform/worker-heartbeats.ts";
import { FaultCluster, kp, PATIENT } from "../../support/fault-cluster.ts";
import { quietLogger } from "../../support/quiet-logger.ts";

const one = { chunk: { maxFiles: 1 } };

async function reserved(cluster: FaultCluster): Promise<{ memory: number[]; cores: number[] }> {
  const beats = await loadHeartbeats(cluster.keys, kp);
  const jobs = beats.flatMap(({ running }) => running.filter(({ jobId }) => jobId.includes(".c")));
  return {
    memory: jobs.map((job) => Math.floor((job.reserved.memoryBytes ?? 0) / MiB)).toSorted((a, b) => a - b),
    cores: jobs.map((job) => job.reserved.cpuCores ?? 0),
  };
}

async function codes(cluster: FaultCluster, run: string): Promise<string[]> {
  return (await cluster.client.explain(run)).reasons.map(({ code }) => code);
}

describe("what is set for a profile", { timeout: 120_000 }, () => {
  test("counts for jobs that wait, keeps to those that run, and survives a worker", async () => {
    await using cluster = await FaultCluster.open();
    const limits = { redis: cluster.keys, kp, logger: quietLogger };
    const worker = await cluster.worker({ id: "a", maxProcesses: 4, memoryMaxBytes: 900 * MiB, drainMs: 100 });
    cluster.files(1);
    const first = await cluster.run(cluster.spec("sleep 100", one));
    await expect.poll(async () => (await reserved(cluster)).memory, PATIENT).toEqual([128]);
    await setLimits(limits, ALL_WORKERS, { paused: true });
    const output = { root: cluster.scratch.folder("second"), from: "file" } as const;
    const second = await cluster.run(cluster.spec("sleep 100", { ...one, output }));
    await expect.poll(() => codes(cluster, second), PATIENT).toContain("PAUSED");
    await setProfile(cluster.keys, kp, { profile: "default", change: { memory: 400 * MiB } });
    expect(await codes(cluster, second)).toContain("profile-set");
    await resetLimits(limits, undefined);
    await expect.poll(async () => (await reserved(cluster)).memory, PATIENT).toEqual([128, expect.any(Number)]);
    expect((await reserved(cluster)).memory[1]).toBeGreaterThanOrEqual(400);
    worker.child.kill("SIGTERM");
    await worker.ended();
    await cluster.worker({ id: "b", maxProcesses: 4, memoryMaxBytes: 2_000 * MiB });
    const all = async () => (await reserved(cluster)).memory.filter((mebibytes) => mebibytes >= 400);
    await expect.poll(all, PATIENT).toHaveLength(2);
    for (const run of [first, second]) await cluster.client.cancel(run, "seen");
  });

  test("decides by its labels who takes what waits, and by its cores how much of a machine that has", async () => {
    await using cluster = await FaultCluster.open();
    await cluster.worker({ id: "plain" });
    cluster.files(1);
    await setProfile(cluster.keys, kp, { profile: "default", change: { labels: ["special"] } });
    const run = await cluster.run(cluster.spec("sleep 100", one));
    await expect.poll(() => codes(cluster, run), PATIENT).toContain("no-worker-with-labels");
    expect((await reserved(cluster)).memory).toEqual([]);
    await setProfile(cluster.keys, kp, { profile: "default", change: { cpu: 0.25 } });
    await cluster.worker({ id: "special", labels: ["special"] });
    await expect.poll(async () => (await reserved(cluster)).cores, PATIENT).toEqual([0.25]);
    const holder = (await loadHeartbeats(cluster.keys, kp)).find(({ running }) => running.length > 0);
    expect(holder?.workerId).toBe("special");
    await cluster.client.cancel(run, "seen");
  });

  test("is taken back for what waits, and an entry that cannot be read counts for nothing", async () => {
    await using cluster = await FaultCluster.open();
    await cluster.worker({ id: "plain" });
    cluster.files(2);
    await cluster.keys.hset(keys.profiles(kp), "broken", "{");
    await setProfile(cluster.keys, kp, { profile: "default", change: { labels: ["special"] } });
    const run = await cluster.run(cluster.spec("true", one));
    await expect.poll(() => codes(cluster, run), PATIENT).toContain("no-worker-with-labels");
    expect(await resetProfiles(cluster.keys, kp, "default")).toBe(1);
    expect((await cluster.ended(run)).state).toBe("succeeded");
  });
});
