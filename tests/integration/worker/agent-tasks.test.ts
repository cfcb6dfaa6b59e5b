/** What an agent starts is told of its task: whatever calls headroom in it in turn is held to what the agent may. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import type { TaskMessage } from "../../../src/contract/agents.ts";
import type { Client } from "../../../src/producer/client.ts";
import { FlowCluster } from "../../support/flow-cluster.ts";

const outer: TaskMessage = {
  ...{ task_id: "r1/ask", parent_id: "r1", trace_id: "0af7651916cd43dd8448eb211c80319c" },
  constraints: {
    ...{ tools: ["Read"], max_turns: 20, max_tokens: null, max_cost_usd: null },
    ...{ timeout_seconds: null, network: null, sandbox: null },
  },
};

afterEach(() => {
  vi.unstubAllEnvs();
});

/** A client as a program has it that an agent calls. */
async function clientInAgent(cluster: FlowCluster): Promise<Client> {
  vi.stubEnv("HEADROOM_TASK", JSON.stringify(outer));
  return cluster.clientWith({});
}

/** A folder with one file, and one for the outputs. */
function oneFile({ scratch }: FlowCluster): { readonly input: string; readonly root: string } {
  const input = scratch.folder("in");
  writeFileSync(join(input, "a"), "a\n");
  return { input, root: scratch.folder("out") };
}

const tell = ["/bin/sh", "-c", 'printf %s "$HEADROOM_TASK"'];

test("a run over files carries the task of the agent that started it, whatever the run says itself", async () => {
  await using cluster = await FlowCluster.open();
  await using client = await clientInAgent(cluster);
  const { input, root } = oneFile(cluster);
  const { run } = await client.run({
    ...{ command: [...tell, "sh", "{input}"], input: { kind: "tree", root: input }, output: { root, from: "stdout" } },
    env: { HEADROOM_TASK: '{"constraints":{}}', OTHER: "1" },
  });
  expect((await client.wait(run.id)).state).toBe("succeeded");
  expect(JSON.parse(readFileSync(join(root, "a.output"), "utf8"))).toEqual(outer);
  expect(run.spec.traceId).toBe(outer.trace_id);
});

test("a flow does, with the flows in it and its runs; an agent of it has a task of its own, and no more", async () => {
  await using cluster = await FlowCluster.open();
  await using client = await clientInAgent(cluster);
  const base = cluster.scratch.folder("base");
  writeFileSync(join(cluster.scratch.folder("base/in"), "a"), "a\n");
  const said = { output: { name: "said.json" } };
  const call = { id: "call", kind: "exec" as const, command: tell, ...said };
  const flow = {
    version: 1 as const,
    name: "started",
    nodes: [
      call,
      { id: "over", kind: "files" as const, input: "in", command: [...tell, "sh", "{input}"] },
      { id: "ask", kind: "agent" as const, prompt: "?", tools: ["Read"], max_turns: 5 },
    ],
  };
  const agents = { default: { command: [...tell, "sh", "{prompt}"] } };
  const folder = cluster.scratch.folder("runs");
  const { id } = await client.flows.run(flow, { folder, base, agents });
  const ended = await cluster.ended(id);
  expect(ended.outcomes).toEqual({ call: "succeeded", over: "succeeded", ask: "succeeded" });
  const read = (path: string): unknown => JSON.parse(readFileSync(join(folder, id, path), "utf8"));
  const calls = await cluster.metrics.registry.getSingleMetricAsString("headroom_flow_calls_total");
  for (const kind of ["exec", "agent"]) expect(calls).toContain(`kind="${kind}",outcome="succeeded"} 1\n`);
  expect(read("artifacts/call/said.json")).toEqual(outer);
  expect(read("outputs/over/a.output")).toEqual(outer);
  expect(read("artifacts/ask/transcript.txt")).toEqual({
    ...{ task_id: `${id}/ask`, parent_id: id, trace_id: outer.trace_id },
    constraints: { ...outer.constraints, max_turns: 5 },
  });
});

test("a run that a person begins again is told of no task", async () => {
  await using cluster = await FlowCluster.open();
  await using client = await clientInAgent(cluster);
  const { input, root } = oneFile(cluster);
  const { run } = await client.run({
    ...{ command: ["/bin/cat", "{input}"], input: { kind: "tree", root: input }, output: { root, from: "stdout" } },
    env: { OTHER: "1" },
  });
  await client.wait(run.id);
  expect((await cluster.client.resume(run.id)).spec.env).toEqual({ OTHER: "1" });
  const again = await cluster.client.wait(run.id);
  expect(again.state).toBe("succeeded");
});
