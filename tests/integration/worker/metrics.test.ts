/** What a worker tells of its room and its work, while it works. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { MiB } from "../../../src/contract/resources.ts";
import { loadHeartbeats } from "../../../src/platform/worker-heartbeats.ts";
import { FaultCluster, kp, PATIENT } from "../../support/fault-cluster.ts";

test("what is promised while jobs run, why others wait, and what became of the files", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(3);
  const worker = await cluster.worker({ ops: true, maxProcesses: 2 });
  const [, url = ""] = (await worker.line("operations ")).split(" ");
  const told = async (name: string, ...labels: string[]) => {
    const lines = (await (await fetch(`${url}/metrics`)).text()).split("\n");
    const line = lines.find(
      (one) => new RegExp(`^${name}[ {]`).test(one) && labels.every((label) => one.includes(label)),
    );
    return Number(line?.split(" ").at(-1) ?? Number.NaN);
  };
  const reserved = (resource: string) => told("headroom_reserved", `resource="${resource}"`);
  expect(await told("headroom_capacity", 'resource="processes"')).toBe(2);
  expect(await told("headroom_capacity", 'resource="memoryBytes"')).toBeGreaterThan(100 * MiB);
  const go = join(cluster.scratch.path, "go");
  const once = { attempts: 1, backoffMs: 0, backoffFactor: 1, maxBackoffMs: 0 };
  const first = `while [ ! -e ${go} ]; do sleep 0.02; done; case "$1" in *file-2) exit 3;; esac`;
  const retry = { exit: { ...once, attempts: 2 } };
  const runId = await cluster.run(cluster.spec(first, { chunk: { maxFiles: 1 }, retry }));
  await expect.poll(() => reserved("processes"), PATIENT).toBe(2);
  expect(await reserved("memoryBytes")).toBeGreaterThanOrEqual(2 * 128 * MiB);
  await expect.poll(() => told("headroom_admissions_total", 'reason="PROCESSES"'), PATIENT).toBeGreaterThan(0);
  expect(await told("headroom_admissions_total", 'decision="admit"')).toBeGreaterThanOrEqual(2);
  const beat = async () => (await loadHeartbeats(cluster.keys, kp))[0];
  const devices = async () => (await beat())?.devices?.map(({ name, totalBytes }) => [name, totalBytes > MiB]) ?? [];
  await expect.poll(async () => String((await devices()).at(-1)), PATIENT).toMatch(/^(scratch|output),true$/);
  const predicted = async () => (await beat())?.running.filter((job) => (job.expectedBytes ?? 0) > MiB).length;
  await expect.poll(predicted, PATIENT).toBe(2);
  writeFileSync(go, "");
  await cluster.ended(runId);
  await expect.poll(() => reserved("processes"), PATIENT).toBe(0);
  // The report of the run takes memory and no process.
  await expect.poll(() => reserved("memoryBytes"), PATIENT).toBe(0);
  expect(await told("headroom_files_processed_total", 'outcome="succeeded"')).toBe(2);
  expect(await told("headroom_files_processed_total", 'outcome="failed"')).toBe(1);
  expect(await told("headroom_governor_cpu_seconds_total")).toBeGreaterThan(0);
  const guesses = await told("headroom_prediction_ratio_count", 'target="memory"', 'profile="default"');
  expect(guesses).toBeGreaterThan(0);
  expect(await told("headroom_retries_total", 'failure_class="exit"')).toBe(1);
  expect(await told("headroom_file_duration_seconds_count")).toBe(3);
  expect(await told("headroom_chunk_duration_seconds_count")).toBeGreaterThanOrEqual(3);
});
