/** Law 10: nothing is run that the operator of a worker has not allowed, whoever has put the job there. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseRunSpec, type RunRequest } from "../../../src/contract/run-request.ts";
import { keys } from "../../../src/contract/queues.ts";
import { liveFields, RunHash } from "../../../src/platform/run-hash.ts";
import { newRunId } from "../../../src/producer/submit.ts";
import { FaultCluster, kp } from "../../support/fault-cluster.ts";

const CAT = "/usr/bin/cat";

test("jobs forged straight into Redis run no other binary, read no other folder and write none", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(3);
  await cluster.scheduler();
  await cluster.worker({ allow: { binaries: [CAT], read: [cluster.input], write: [cluster.output] } });
  const trace = join(cluster.scratch.path, "started");
  const elsewhere = cluster.scratch.folder("elsewhere");
  writeFileSync(join(elsewhere, "secret"), "secret");
  const shell = ["/bin/sh", "-c", `echo started >> ${trace}; cat "$1"`, "sh", "{input}"];
  const allowed: RunRequest = { command: [CAT, "{input}"], input: cluster.input, output: cluster.output };
  const forgeries: readonly (readonly [Partial<RunRequest>, string])[] = [
    [{ command: shell }, "command[0]"],
    [{ input: elsewhere }, "input.root"],
    [{ output: { root: elsewhere, check: [CAT, "{output}"] } }, "output.root"],
    [{ inputRules: { check: ["/bin/sh", "-c", `echo started >> ${trace}`] } }, "inputRules.check[0]"],
    [{ env: { LD_PRELOAD: "/x.so" } }, "env.LD_PRELOAD"],
  ];
  const hash = new RunHash(cluster.keys, kp);
  /** What whoever may write to Redis can do: no client, no check, no row in the store. */
  const forge = async (request: RunRequest, chunks: Parameters<typeof cluster.queues.addRun>[2], noted = {}) => {
    const runId = newRunId(Date.now());
    const spec = parseRunSpec(request);
    const run = { runId, spec, epoch: 0, state: "queued", createdAtMs: Date.now() } as const;
    await hash.create(run);
    const live = { ...liveFields(run), ...noted };
    await cluster.queues.addRun({ runId, epoch: 0, traceId: runId }, spec, chunks, live);
    return cluster.ended(runId);
  };
  for (const [change, where] of forgeries) {
    const request = { ...allowed, ...change };
    const scanned = await forge(request, "scan");
    expect(scanned).toMatchObject({ state: "broken", counts: { total: 0 } });
    expect(scanned.message).toMatch(/^policy: /);
    expect(scanned.message).toContain(`${where}: expected `);
    const chunks = [{ chunk: "0", files: [{ index: 0, path: "file-0", bytes: 1 }] }];
    const named = await forge(request, chunks, { total: 1, chunks: 1, scanned: "1" });
    expect(named).toMatchObject({ state: "failed", counts: { failed: 1, succeeded: 0 } });
    const [row] = await cluster.store.files.page(named.id, 0, { limit: 1 });
    expect(row).toMatchObject({ failureClass: "policy", attempts: 0, startedAtMs: null });
    expect(row?.message).toContain(`${where}: expected `);
    // Nobody knows how many files it has, so they are looked for, which is refused in its turn.
    const uncounted = await forge(request, chunks);
    expect(uncounted).toMatchObject({ state: "broken", counts: { failed: 1, succeeded: 0 } });
    expect(uncounted.message).toMatch(/^policy: /);
  }
  expect(existsSync(trace)).toBe(false);
  expect(cluster.outputs()).toEqual([]);
  expect(await cluster.keys.keys(keys.inflight(kp, "*"))).toEqual([]);

  // A producer without a policy does not help, and what is allowed goes on as ever.
  const refused = await cluster.ended((await cluster.client.run({ ...allowed, command: shell })).run.id);
  expect(refused).toMatchObject({ state: "broken", message: expect.stringMatching(/^policy: command\[0\]/) as string });
  const good = await cluster.ended((await cluster.client.run(allowed)).run.id);
  expect(good).toMatchObject({ state: "succeeded", counts: { succeeded: 3 } });
  expect(cluster.outputs().sort()).toEqual(["file-0.output", "file-1.output", "file-2.output"]);
});
