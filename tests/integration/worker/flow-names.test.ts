/** Runs of nodes are known by the nodes' ids, so that where a node stands in its file does not matter. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { checkFlow } from "../../../src/contract/flow-check.ts";
import { FlowCluster } from "../../support/flow-cluster.ts";

describe("a node over files", { timeout: 120_000 }, () => {
  test("runs nothing again when others were put before it in the file", async () => {
    await using cluster = await FlowCluster.open();
    const log = join(cluster.scratch.path, "log");
    for (const name of ["a", "b"]) cluster.scratch.file(`in/${name}`, name);
    const command = ["/bin/sh", "-c", `echo "$1" >> ${log}; cat "$1"`, "sh", "{input}"];
    const files = { id: "each", kind: "files" as const, command, input: join(cluster.scratch.path, "in") };
    const before = await cluster.run({ nodes: [files] });
    expect(before.status.state).toBe("succeeded");
    const first = { id: "first", kind: "exec" as const, command: ["/bin/echo", "x"], output: { name: "x" } };
    const changed = checkFlow({ version: 1, name: "flow", nodes: [first, { ...files, needs: ["first"] }] });
    if (changed.kind === "faulty") throw new TypeError(JSON.stringify(changed.faults));
    await cluster.client.flows.resume(before.status, { flow: changed.flow });
    const after = await cluster.ended(before.status.id);
    expect(after.outcomes).toEqual({ first: "succeeded", each: "succeeded" });
    const child = await cluster.store.runs.get(`${before.status.id}~each`);
    expect(child).toMatchObject({ epoch: 1, state: "succeeded", counts: { succeeded: 2 }, report: { reused: 2 } });
    expect(readFileSync(log, "utf8").trim().split("\n")).toHaveLength(2);
  });
});
