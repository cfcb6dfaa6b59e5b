/** The report of a flow tells of the runs below it too: what they left, their retries, their agents; and of its planner. */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { checkFlow } from "../../../src/contract/flow-check.ts";
import type { PlanOrigin } from "../../../src/contract/stored-plan.ts";
import { FlowCluster } from "../../support/flow-cluster.ts";

const told = `echo '{"type":"result","num_turns":2,"usage":{"input_tokens":40,"output_tokens":2},"total_cost_usd":0.25}'`;
const once = { exit: { attempts: 2, backoff_ms: 1 } };

/** A node over files that fails at its first start. */
const sums = (flag: string) => ({
  ...{ id: "sums", kind: "files", input: "in", retry: once },
  command: ["/bin/sh", "-c", `[ -e ${flag} ] || { touch ${flag}; exit 3; }; sha256sum < $1`, "sh", "{input}"],
});
const ask = { id: "ask", kind: "agent", prompt: "work" };

const origin: PlanOrigin = {
  goal: "sum them up",
  planner: { name: "clerk", kind: "recorded", model: null },
  prompt: { version: "v2", sha256: "0".repeat(64) },
  spent: { calls: 2, repairs: 1, inputTokens: 300, outputTokens: 45, costUsd: 0.5, isEstimated: false },
  acceptedAtMs: 1,
};

async function runAll(cluster: FlowCluster) {
  const root = join(import.meta.dirname, "../../..");
  writeFileSync(join(cluster.scratch.folder("base/in"), "a"), "A");
  writeFileSync(join(cluster.scratch.folder("base/one"), "a.txt"), "A text.\n");
  const flag = (name: string) => join(cluster.scratch.path, name);
  const inner = { version: 1, name: "inner", nodes: [sums(flag("inner")), ask] };
  const kinds = { id: "kinds", kind: "infer", model: join(root, "models/file-kind"), input: "one" };
  const nodes = [sums(flag("outer")), kinds, ask, { id: "below", kind: "flow", file: "i.json" }];
  const check = checkFlow({ version: 1, name: "outer", nodes }, { "i.json": inner });
  if (check.kind === "faulty") throw new TypeError(JSON.stringify(check.faults));
  const run = await cluster.client.flows.start(check.flow, {
    ...{ inputs: {}, base: join(cluster.scratch.path, "base"), binaries: {}, origin },
    agents: { default: ["/bin/sh", "-c", told] },
    folder: (id) => join(cluster.scratch.folder("runs"), id),
  });
  const ended = await cluster.ended(run.id);
  const folder = join(ended.status.spec.output.root, "..");
  const read = (name: string) => readFileSync(join(folder, name), "utf8");
  const lines = (name: string) =>
    read(name)
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { ended, folder, read, lines };
}

describe("the report of a flow", { timeout: 120_000 }, () => {
  test("lists what all nodes left with its digest, and sums retries, agents and the planner", async () => {
    await using cluster = await FlowCluster.open();
    const { ended, folder, read, lines } = await runAll(cluster);
    expect(ended.status.state).toBe("succeeded");
    const artifacts = lines("artifacts.jsonl");
    const digestOf = (path: string) => createHash("sha256").update(read(path)).digest("hex");
    expect(artifacts.map(({ node, input, path }) => [node, input, path])).toEqual([
      ["ask", undefined, "artifacts/ask/transcript.txt"],
      ["below~ask", undefined, "flows/below/artifacts/ask/transcript.txt"],
      ["below~sums", "a", "flows/below/outputs/sums/a.output"],
      ["kinds", undefined, "outputs/kinds/results.jsonl"],
      ["sums", "a", "outputs/sums/a.output"],
    ]);
    for (const { path, sha256 } of artifacts) expect(sha256).toBe(digestOf(String(path)));
    const bytes = artifacts.reduce((sum, { bytes: one }) => sum + Number(one), 0);
    expect(ended.status.report?.flow).toMatchObject({
      ...{ retries: 2, agents: { turns: 4, tokens: 84, costUsd: 0.5 } },
      ...{ artifacts: { count: 5, bytes }, planner: { name: "clerk", spent: origin.spent } },
    });
    expect(JSON.parse(read("report.json"))).toEqual(ended.status.report);
    expect(ended.row("sums").outputSha256).toMatch(/^[0-9a-f]{64}$/);
    const end = lines("events.jsonl").find(({ event, node }) => event === "node-ended" && node === "sums");
    expect(end).toMatchObject({ retries: 1, artifacts: { count: 1 }, outputSha256: ended.row("sums").outputSha256 });
    const page = read("report.md");
    expect(page).toContain("- planner clerk used 2 calls, 345 tokens and 0.5000 US dollars\n");
    expect(page).toContain("- agents used 4 turns, 84 tokens and 0.5000 US dollars\n");
    expect(page).toContain("| `sums` | succeeded | 1 retried |");
    expect(page).toContain(`| \`outputs/sums/a.output\` | 68 | \`${digestOf("outputs/sums/a.output")}\` |`);
    expect(readFileSync(join(folder, "flows/below/report.md"), "utf8")).not.toContain("planner");
  });
});
