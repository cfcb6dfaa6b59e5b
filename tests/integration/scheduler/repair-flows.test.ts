/** Flows of which Redis has lost a part: a leader's round finds that, and they end as they would have. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { jobIds } from "../../../src/contract/queues.ts";
import { FlowState } from "../../../src/platform/flow/flow-state.ts";
import { RunHash } from "../../../src/platform/run-hash.ts";
import { FlowCluster } from "../../support/flow-cluster.ts";

const PATIENT = { timeout: 30_000, interval: 20 };
const sh = (id: string, script: string, more: object = {}) => ({
  ...{ id, kind: "exec" as const, command: ["/bin/sh", "-c", script], ...more },
});
const elsewhere = { resources: { labels: ["elsewhere"] } };

/** Deletes jobs, as a Redis leaves them that was killed: out of their queues, and still among those that parents wait for. */
async function lose({ redis, kp }: FlowCluster, pattern: string): Promise<number> {
  const found = (await redis.keys(`${kp}:*:${pattern}`)).filter((key) => !key.endsWith(":lock"));
  for (const key of found) {
    const at = key.lastIndexOf(":");
    const [queue, id] = [key.slice(0, at), key.slice(at + 1)];
    await redis.lrem(`${queue}:wait`, 0, id);
    for (const list of ["delayed", "prioritized", "waiting-children"]) await redis.zrem(`${queue}:${list}`, id);
    await redis.del(key, `${key}:dependencies`);
  }
  return found.length;
}

const fork = (id: string, path: string) => jobIds.fork(id, 0, path);

describe("a flow ends as it would have", { timeout: 90_000 }, () => {
  test("when the job of one node is lost, and runs no other again", async () => {
    await using cluster = await FlowCluster.open();
    const first = join(cluster.scratch.path, "first");
    const nodes = [sh("first", `[ ! -e ${first} ] && touch ${first}`), sh("lost", "exit 0", elsewhere)];
    const id = await cluster.start({ nodes });
    await expect.poll(() => existsSync(first), PATIENT).toBe(true);
    await expect.poll(() => lose(cluster, jobIds.chunk(id, 0, "1")), PATIENT).toBe(1);
    await cluster.addWorker("e", { labels: ["elsewhere"] });
    expect((await cluster.ended(id)).outcomes).toEqual({ first: "succeeded", lost: "succeeded" });
  });

  test("when the step of a gate is lost, and somebody answers", async () => {
    await using cluster = await FlowCluster.open();
    const id = await cluster.start({ nodes: [{ id: "ask", kind: "gate", message: "?" }] });
    await expect.poll(() => lose(cluster, fork(id, "ask")), PATIENT).toBe(1);
    const run = await cluster.client.status(id);
    await cluster.client.flows.answer(run, "ask", { isApproved: true, by: "anna", note: null, atMs: 1 });
    expect((await cluster.ended(id)).outcomes).toEqual({ ask: "succeeded" });
  });

  test("when the step that adds the instances of a fan-out is lost", async () => {
    await using cluster = await FlowCluster.open(0);
    const items = Array.from({ length: 150 }, (_, at) => at);
    const id = await cluster.start({ nodes: [sh("each", "exit 0", { foreach: items })] }, { isNoop: true });
    // As its begin leaves it, which has ended.
    await new FlowState(cluster.redis, cluster.kp, { runId: id, epoch: 0 }).openGroup("each", items);
    await new RunHash(cluster.redis, cluster.kp).count({ runId: id, epoch: 0 }, { total: 149 });
    expect(await lose(cluster, fork(id, "_begin"))).toBe(1);
    await cluster.addWorker("w");
    expect((await cluster.ended(id)).status.counts).toMatchObject({ total: 150, succeeded: 150 });
  });

  test("when the root of a run below it is lost with all its jobs", async () => {
    await using cluster = await FlowCluster.open();
    writeFileSync(join(cluster.scratch.folder("base/in"), "a"), "a");
    const node = { id: "each", kind: "files" as const, command: ["/bin/cat", "{input}"], input: "in", ...elsewhere };
    const id = await cluster.start({ nodes: [node, sh("after", "exit 0", { needs: ["each"] })] });
    const below = `${id}~each`;
    await expect
      .poll(async () => (await cluster.redis.keys(`${cluster.kp}:exec*:${below}.0*`)).length, PATIENT)
      .toBe(1);
    expect(await lose(cluster, `${below}.0*`)).toBeGreaterThan(1);
    await cluster.addWorker("e", { labels: ["elsewhere"] });
    expect((await cluster.ended(id)).outcomes).toEqual({ each: "succeeded", after: "succeeded" });
  });

  test("when the step is lost that ends its time", async () => {
    await using cluster = await FlowCluster.open();
    const id = await cluster.start({ timeout_seconds: 4, nodes: [sh("slow", "sleep 1000")] });
    await expect.poll(() => lose(cluster, fork(id, "_deadline")), PATIENT).toBe(1);
    const ended = await cluster.ended(id);
    expect(ended.status.state).toBe("failed");
    expect(ended.row("slow")).toMatchObject({ outcome: "cancelled", failureClass: "timeout" });
  });
});
