/** `headroom drain` and `headroom scaling` against real processes, as a preStop hook and an autoscaler use them. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { RunbookCluster } from "../../support/runbook.ts";

const PATIENT = { timeout: 60_000, interval: 100 };

test("drain --self ends what the worker holds, tells its progress, and is taken back", async () => {
  await using cluster = await RunbookCluster.open();
  const { url } = await cluster.start(["worker", "--worker-id", "node"]);
  const port = new URL(url).port;
  const mark = join(cluster.cli.scratch.path, "started");
  const id = await cluster.enqueue(["sh", "-c", `touch ${mark}; sleep 3; cat "$0"`, "{input}"], { files: 1 });
  const progress = async () => (await (await fetch(`${url}/drain`)).json()) as { state: string; running: number };
  await expect.poll(() => existsSync(mark), PATIENT).toBe(true);
  await expect.poll(progress, PATIENT).toMatchObject({ state: "serving", running: 1 });
  const asked = await fetch(`${url}/drain?grace=120`, { method: "POST" });
  expect(asked.status).toBe(202);
  expect(await asked.json()).toMatchObject({
    state: "draining",
    running: 1,
    handBackInMs: expect.any(Number) as number,
  });
  expect((await fetch(`${url}/readyz`)).status).toBe(503);
  expect((await fetch(`${url}/drain?wait=soon`, { method: "POST" })).status).toBe(400);
  // The same drain again, by the command of a preStop hook: it waits for the end.
  const self = await cluster.sh(`headroom drain --self --ops-port ${port}`);
  expect(self).toMatchObject({
    code: 0,
    output: expect.stringContaining("the worker is drained, it holds 0 jobs") as string,
  });
  // What ran has come to its end; the report of its run waits for a worker that claims.
  expect(existsSync(join(cluster.cli.scratch.path, "out/0.txt.output"))).toBe(true);
  const next = await cluster.enqueue(["cat", "{input}"], { files: 1, out: "next" });
  expect(await progress()).toEqual({ state: "drained", running: 0, handBackInMs: null });
  const undone = await cluster.sh(`headroom drain --self --undo --ops-port ${port}`);
  expect(undone).toMatchObject({ code: 0, output: expect.stringContaining("the worker is serving") as string });
  for (const run of [id, next]) {
    await expect.poll(async () => (await cluster.sh(`headroom status ${run}`)).output, PATIENT).toContain("succeeded");
  }
});

test("faults of drain and scaling are told before anything is done", async () => {
  await using cluster = await RunbookCluster.open();
  const refused = async (command: string) => {
    const { code, output } = await cluster.sh(command);
    return `${code ?? "none"} ${output}`;
  };
  expect(await refused("headroom drain")).toMatch(/^2 .*expected a worker, a host or --self, found neither/s);
  expect(await refused("headroom drain node --self")).toMatch(/^2 .*found both/s);
  expect(await refused("headroom drain node --grace soon")).toMatch(/^2 .*--grace/s);
  expect(await refused("headroom drain --self")).toMatch(/^2 .*--ops-port.*found none/s);
  expect(await refused("headroom drain --self --ops-port 1")).toMatch(/^3 .*expected a worker to answer POST/s);
  expect(await refused("headroom drain nobody")).toMatch(/found no worker or host "nobody"/);
  expect(await refused("headroom scaling")).toMatch(/^3 .*expected a scheduler that leads/s);
  expect(await refused("headroom queues pause nothing")).toMatch(/found no queue or profile "nothing"/);
  expect(await refused("headroom retry")).toMatch(/^2 .*expected runs, or --since/s);
});

test("scaling is told by the command and by the scheduler's port", async () => {
  await using cluster = await RunbookCluster.open();
  const { url } = await cluster.start(["scheduler"]);
  await cluster.enqueue(["cat", "{input}"], { files: 3 });
  const told = async () => ((await (await fetch(`${url}/v1/scaling`)).json()) as { value: number }).value;
  // Nobody works: one is wanted for the scan.
  await expect.poll(told, PATIENT).toBe(1);
  const text = await cluster.sh("headroom scaling");
  expect(text.output).toMatch(/^1 worker wanted/);
  expect(text.output).toMatch(/control +1 +0 +1 +0 +1 jobs could begin/);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toMatch(/headroom_scaling_workers_wanted\{[^}]*profile="control"[^}]*\} 1/);
});
