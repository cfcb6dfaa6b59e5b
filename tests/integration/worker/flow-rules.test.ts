/** What the operator allows holds while a flow runs, too. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { AllowInput } from "../../../src/contract/allow.ts";
import { checkFlow } from "../../../src/contract/flow-check.ts";
import { FlowCluster, type FlowNodes } from "../../support/flow-cluster.ts";

const sh = (id: string, script: string, more: object = {}) => ({
  ...{ id, kind: "exec" as const, command: ["/bin/sh", "-c", script], output: { name: `${id}.txt` } },
  ...more,
});

/** Runs a flow that is started by a client with these rules. */
async function runWith(cluster: FlowCluster, allow: AllowInput, nodes: FlowNodes, files: Record<string, unknown> = {}) {
  const check = checkFlow({ version: 1, name: "flow", ...nodes }, files);
  if (check.kind === "faulty") throw new TypeError(JSON.stringify(check.faults));
  const client = await cluster.clientWith(allow);
  try {
    const folder = (id: string) => join(cluster.scratch.folder("runs"), id);
    const base = cluster.scratch.folder("base");
    const run = await client.flows.start(check.flow, { inputs: {}, base, binaries: {}, agents: {}, folder });
    return await cluster.ended(run.id);
  } finally {
    await client.close();
  }
}

describe("while it runs", { timeout: 120_000 }, () => {
  test("a node starts as often as limits leave, flows in flows too", async () => {
    await using cluster = await FlowCluster.open();
    const tried = join(cluster.scratch.folder("base"), "tried");
    const starts = async (allow: AllowInput) => {
      writeFileSync(tried, "");
      const inner = { version: 1, name: "inner", nodes: [sh("deep", `echo deep >> ${tried}; exit 1`)] };
      const nodes = [sh("n", `echo n >> ${tried}; exit 1`), { id: "below", kind: "flow" as const, file: "i.json" }];
      await runWith(cluster, allow, { nodes }, { "i.json": inner });
      return readFileSync(tried, "utf8").trim().split("\n").toSorted().join(" ");
    };
    expect(await starts({})).toBe("deep deep n n");
    expect(await starts({ limits: { attempts: 1 } })).toBe("deep n");
    expect(await starts({ limits: { attempts: 3 } })).toBe("deep deep n n");
  });

  test("what earlier nodes left is read where the folder of the run may be, and refused at the start where not", async () => {
    await using cluster = await FlowCluster.open(0);
    const [input, runs] = [cluster.scratch.folder("base/in"), cluster.scratch.folder("runs")];
    writeFileSync(join(input, "a"), "a\n");
    await cluster.addWorker("strict", { allow: { read: [input] } });
    const cat = { kind: "files" as const, command: ["/bin/cat", "{input}"] };
    const nodes = [
      { id: "first", ...cat, input },
      { id: "second", ...cat, input: "${nodes.first.output}", needs: ["first"] },
    ];
    await expect(runWith(cluster, { read: [input] }, { nodes })).rejects.toThrow(/nodes\[1\]\.input.*allow\.read/s);
    // What a client has let through does not count for the worker, and is told as what it is.
    const ended = await runWith(cluster, { read: [input, runs] }, { nodes });
    expect(ended.row("second")).toMatchObject({ outcome: "failed", failureClass: "policy" });
    expect(ended.row("second").message).toContain("input.root: expected a folder inside one of allow.read");
  });

  test("a worker holds each call to its own tools and limits, whatever the client let through", async () => {
    await using cluster = await FlowCluster.open(0);
    await cluster.addWorker("strict", {
      allow: { tools: ["Read"], limits: { turns: 5, cost_usd: 1, tokens: 100, memory: "1GiB", attempts: 2 } },
    });
    const agent = { kind: "agent" as const, prompt: "x", max_turns: 5, max_cost_usd: 1, max_tokens: 100 };
    const memory = (size: string) => ({ resources: { memory: size } });
    const retry = { exit: { attempts: 3 } };
    const nodes = [
      { id: "good", ...agent, tools: ["Read"] },
      { id: "tool", ...agent, tools: ["Read", "Bash"] },
      { id: "turns", ...agent, max_turns: 6 },
      { id: "money", ...agent, max_cost_usd: 1.5 },
      { id: "open", kind: "agent" as const, prompt: "x", max_turns: 1, max_cost_usd: 1 },
      sh("large", "true", memory("2GiB")),
      sh("often", "true", { retry }),
      sh("plain", "echo it", memory("64MiB")),
    ];
    const ended = await cluster.run({ nodes }, { agents: { default: ["/bin/true", "{prompt}"] } });
    const told = (id: string) => [ended.row(id).failureClass, /allow\.[a-z_.]+/.exec(ended.row(id).message ?? "")?.[0]];
    expect(told("tool")).toEqual(["policy", "allow.tools"]);
    expect(told("turns")).toEqual(["policy", "allow.limits.turns"]);
    expect(told("money")).toEqual(["policy", "allow.limits.cost_usd"]);
    expect(told("open")).toEqual(["policy", "allow.limits.tokens"]);
    expect(told("large")).toEqual(["policy", "allow.limits.memory"]);
    expect(told("often")).toEqual(["policy", "allow.limits.attempts"]);
    // Its program says nothing of what it used, so it fails, but it was started.
    expect(ended.row("good").failureClass).not.toBe("policy");
    expect(ended.row("plain").outcome).toBe("succeeded");
  });
});
