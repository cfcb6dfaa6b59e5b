/** Nodes of a flow get what the configuration declares of their profile. */
import { describe, expect, test } from "vitest";
import { MiB } from "../../../src/contract/resources.ts";
import { FlowCluster } from "../../support/flow-cluster.ts";

const PATIENT = { timeout: 30_000 };

describe("a node that names a profile", { timeout: 120_000 }, () => {
  test("gets its memory and waits for its labels, in a flow in the flow too, unless it says otherwise", async () => {
    await using cluster = await FlowCluster.open();
    const print = { kind: "exec" as const, command: ["/bin/true"], profile: "heavy" };
    const nodes = [
      { id: "plain", kind: "exec" as const, command: ["/bin/true"] },
      { id: "own", ...print, resources: { labels: [] } },
      { id: "heavy", ...print, resources: { cpu: 0.5 } },
    ];
    const profiles = { heavy: { memoryBytes: 200 * MiB, cpuCores: 1, labels: ["big"] } };
    const folder = cluster.scratch.folder("runs");
    const { id } = await cluster.client.flows.run({ version: 1, name: "f", nodes }, { folder, profiles });
    const run = await cluster.client.status(id);
    const states = async () => (await cluster.client.flows.view(run)).nodes.map(({ state }) => state);
    await expect.poll(states, PATIENT).toEqual(["succeeded", "succeeded", "ready"]);
    const [waits] = await cluster.redis
      .keys(`${cluster.kp}:flow:*`)
      .then((keys) => Promise.all(keys.map((key) => cluster.redis.hgetall(key))));
    const bases = Object.entries(waits ?? {}).filter(([field]) => field.startsWith("b:"));
    const resources = bases.map(([, json]) => (JSON.parse(json) as { resources: object }).resources);
    expect(resources).toContainEqual({ memoryBytes: 200 * MiB, cpuCores: 0.5, labels: ["big"] });
    await cluster.addWorker("big", { labels: ["big"] });
    expect((await cluster.ended(id)).outcomes).toEqual({ plain: "succeeded", own: "succeeded", heavy: "succeeded" });
  });
});
