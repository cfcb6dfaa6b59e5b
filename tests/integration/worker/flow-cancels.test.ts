/** Nodes of a flow that are cancelled by their ids: what ends with them, and what goes on. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { isTerminal } from "../../../src/contract/outcomes.ts";
import { FlowCluster } from "../../support/flow-cluster.ts";

const sh = (id: string, script: string, more: object = {}) => ({
  ...{ id, kind: "exec" as const, command: ["/bin/sh", "-c", script], output: { name: `${id}.txt` } },
  ...more,
});
const PATIENT = { timeout: 30_000 };

describe("a fan-out that is cancelled by its id", { timeout: 120_000 }, () => {
  test("ends with all instances that have not ended, and all that hang on it, whatever failed before", async () => {
    await using cluster = await FlowCluster.open();
    const once = { retry: { exit: { attempts: 1 } } };
    const id = await cluster.start({
      nodes: [
        sh("each", 'test "${item}" = bad && exit 1; sleep 100', { foreach: ["bad", "b", "c"], ...once }),
        sh("mend", "echo mend", { needs: [{ node: "each", on: "failure" }] }),
        sh("after", "echo after", { needs: [{ node: "mend", on: "always" }] }),
        sh("other", "echo other"),
      ],
    });
    const run = await cluster.client.status(id);
    const { flows } = cluster.client;
    await expect.poll(async () => (await flows.node(run, "each/0")).state, PATIENT).toBe("failed");
    await expect.poll(async () => (await cluster.client.status(id)).progress.runningJobs, PATIENT).toBe(2);
    await flows.cancelNode(run, "each", "not these");
    const ended = await cluster.ended(id);
    expect(ended.outcomes).toEqual({
      ...{ "each/0": "failed", "each/1": "cancelled", "each/2": "cancelled" },
      ...{ mend: "cancelled", after: "cancelled", other: "succeeded" },
    });
    expect(ended.row("each/1").message).toBe("not these");
    expect(ended.status.counts).toMatchObject({ total: 6, cancelled: 4, failed: 1, succeeded: 1 });
    await expect(flows.cancelNode(run, "each", "again")).rejects.toThrow("it ended cancelled");
  });

  test("starts nothing when it is reached afterwards", async () => {
    await using cluster = await FlowCluster.open();
    const go = join(cluster.scratch.path, "go");
    const id = await cluster.start({
      nodes: [
        sh("first", `until [ -e ${go} ]; do sleep 0.05; done`, { output: {} }),
        sh("each", "echo ${item}", { needs: ["first"], foreach: [1, 2, 3] }),
        sh("after", "echo after", { needs: [{ node: "each", on: "always" }] }),
      ],
    });
    const run = await cluster.client.status(id);
    await cluster.client.flows.cancelNode(run, "each", "not these");
    await expect(cluster.client.flows.cancelNode(run, "each/0", "nor this")).rejects.toThrow("each/0");
    writeFileSync(go, "");
    const ended = await cluster.ended(id);
    expect(ended.outcomes).toEqual({ first: "succeeded", each: "cancelled", after: "cancelled" });
  });

  test("takes runs and gates with it, and what it has not begun of a long list", async () => {
    await using cluster = await FlowCluster.open();
    const input = cluster.scratch.folder("base/in");
    writeFileSync(join(input, "a"), "a\n");
    const id = await cluster.start({
      nodes: [
        {
          ...{ id: "runs", kind: "files", input, foreach: [1, 2] },
          command: ["/bin/sh", "-c", "sleep 100 # {input} ${item} > {output}"],
        },
        { id: "gates", kind: "gate", message: "${item}?", foreach: ["a", "b"] },
        sh("many", "sleep 100", { foreach: Array.from({ length: 150 }, (_, at) => at) }),
      ],
    });
    const run = await cluster.client.status(id);
    const { flows } = cluster.client;
    await expect.poll(async () => (await flows.gates(run)).length, PATIENT).toBe(2);
    await expect.poll(async () => (await flows.node(run, "runs/1")).childRunId, PATIENT).not.toBeNull();
    await expect.poll(async () => (await flows.node(run, "many")).instances, PATIENT).toEqual({ total: 150, ended: 0 });
    for (const node of ["runs", "gates", "many"]) await flows.cancelNode(run, node, "enough");
    const ended = await cluster.ended(id);
    expect(ended.rows).toHaveLength(154);
    expect(new Set(Object.values(ended.outcomes))).toEqual(new Set(["cancelled"]));
    for (const at of [0, 1]) expect((await cluster.ended(`${id}~runs~~${at}`)).status.state).toBe("cancelled");
  });

  test("leaves no run of its own going when it is cancelled while they are made", async () => {
    await using cluster = await FlowCluster.open();
    writeFileSync(join(cluster.scratch.folder("base/in"), "a"), "a\n");
    const many = Array.from({ length: 60 }, (_, at) => at);
    const command = ["/bin/sh", "-c", "sleep 100 # {input} ${item} > {output}"];
    const input = join(cluster.scratch.path, "base/in");
    const id = await cluster.start({ nodes: [{ id: "runs", kind: "files", input, foreach: many, command }] });
    const run = await cluster.client.status(id);
    const { flows } = cluster.client;
    const known = async () => (await flows.node(run, "runs")).instances?.total ?? 0;
    await expect.poll(known, { timeout: 30_000, interval: 5 }).toBe(60);
    await flows.cancelNode(run, "runs", "enough");
    const ended = await cluster.ended(id);
    expect(new Set(Object.values(ended.outcomes))).toEqual(new Set(["cancelled"]));
    const goOn = async () =>
      (await cluster.client.list({ limit: 100 })).filter(({ state }) => !isTerminal(state)).map(({ id }) => id);
    await expect.poll(goOn, PATIENT).toEqual([]);
  });
});
