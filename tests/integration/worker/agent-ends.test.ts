/** Agents of flows are held to their ceilings while they run, and leave their transcript however they end. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { FlowCluster } from "../../support/flow-cluster.ts";

/** Says what `lines` tells for each turn, for ever, heeds no TERM, and leaves its number and that of a child. */
const endless = (lines: string) => `
trap '' TERM
sleep 1000 & echo "$$ $!" > "$PIDS"
turn=0
while :; do turn=$((turn + 1)); ${lines}; sleep 0.05; done
`;

/** The turn stands for each %s. */
const spoken = (input: string, tokens = 100) =>
  `printf '{"type":"assistant","message":{"id":"m%s","usage":{"output_tokens":${tokens}},"content":[{"type":"tool_use","id":"c%s","name":"Bash","input":{"command":"${input}"}}]}}\\n' $turn $turn $turn`;

const isThere = (pid: string): boolean => {
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false; // It has ended.
  }
};

/** Runs one agent to its end. */
async function runAgent(cluster: FlowCluster, script: string, node: object = {}, limits: object = {}) {
  const pids = join(cluster.scratch.path, "pids");
  writeFileSync(pids, "");
  const ended = await cluster.run(
    { nodes: [{ id: "ask", kind: "agent", prompt: "work", env: { PIDS: pids }, ...node }] },
    { agents: { default: { command: ["/bin/sh", "-c", script, "sh", "{prompt}"], ...limits } } },
  );
  const row = ended.row("ask");
  const left = readFileSync(pids, "utf8").split(/\s+/).filter(Boolean).filter(isThere);
  return { ended, row, left, transcript: () => ended.text("ask") };
}

describe("an agent", { timeout: 120_000 }, () => {
  test.each([
    ["turns", { max_turns: 3 }, /^expected at most 3 turns, found \d+ used$/],
    ["tokens", { max_tokens: 250 }, /^expected at most 250 tokens, found \d+ used$/],
  ])("that uses more %s than it may is ended with all that it started", async (_, limit, message) => {
    await using cluster = await FlowCluster.open();
    const script = endless(spoken("ls %s"));
    const { ended, row, left, transcript } = await runAgent(cluster, script, limit);
    expect(row).toMatchObject({ outcome: "failed", failureClass: "budget", attempts: 1 });
    expect(row.message).toMatch(message);
    expect(left).toEqual([]);
    expect(transcript().split("\n").length).toBeGreaterThan(3);
    expect(ended.status.state).toBe("failed");
  });

  test("that makes the same call again and again is ended as stuck", async () => {
    await using cluster = await FlowCluster.open();
    const { row, left, transcript } = await runAgent(cluster, endless(spoken("ls%.0s")), { max_turns: 1000 });
    expect(row).toMatchObject({ outcome: "failed", failureClass: "stuck", attempts: 1 });
    expect(row.message).toMatch(/^expected an agent that gets on, found the same call of Bash \d+ times in a row$/);
    expect(left).toEqual([]);
    expect(transcript().split("\n").length).toBeGreaterThan(5);
  });

  test("that falls silent is ended as stuck where its node says so", async () => {
    await using cluster = await FlowCluster.open();
    const { row, transcript } = await runAgent(cluster, "echo hello; exec sleep 1000", { stuck_seconds: 0.4 });
    const message = "expected an agent that gets on, found no output for 400 ms";
    expect(row).toMatchObject({ failureClass: "stuck", message });
    expect(transcript()).toBe("hello\n");
  });

  test("is held to what its program says of loops where its node says nothing", async () => {
    await using cluster = await FlowCluster.open();
    const calls = `for turn in 1 2; do ${spoken("ls%.0s")}; done; exec sleep 1000`;
    const { row } = await runAgent(cluster, calls, {}, { max_repeats: 2, stuck_seconds: 60 });
    const message = "expected an agent that gets on, found the same call of Bash 2 times in a row";
    expect(row).toMatchObject({ failureClass: "stuck", message });
    const { row: other } = await runAgent(cluster, "exec sleep 1000", { stuck_seconds: 0.3 }, { stuck_seconds: 60 });
    expect(other).toMatchObject({ failureClass: "stuck", message: expect.stringContaining("300 ms") as string });
  });

  test("that tells only with its last word that it spent too much has failed", async () => {
    await using cluster = await FlowCluster.open();
    const script = `echo '{"type":"result","num_turns":2,"total_cost_usd":0.75}'`;
    const { row } = await runAgent(cluster, script, { max_cost_usd: 0.5 });
    const message = "expected at most 0.5 US dollars, found 0.75 used";
    expect(row).toMatchObject({ outcome: "failed", failureClass: "budget", message, exitCode: 0 });
  });

  test.each([
    ["fails by itself", "echo said; exit 3", {}, "exit"],
    ["runs out of time", "echo said; exec sleep 1000", { timeout_seconds: 0.5 }, "timeout"],
    ["was to leave JSON and did not", "echo said", { output: { json: true } }, "bad-output"],
  ])("that %s leaves what it said", async (_, script, node, failureClass) => {
    await using cluster = await FlowCluster.open();
    const once = { retry: { [failureClass]: { attempts: 1 } } };
    const { row, transcript } = await runAgent(cluster, script, { ...once, ...node });
    expect(row).toMatchObject({ outcome: "failed", failureClass, outputPath: "ask/transcript.txt", outputBytes: 5 });
    expect(transcript()).toBe("said\n");
  });

  test("that is tried again leaves the transcript of its last attempt, and what it left before is no result", async () => {
    await using cluster = await FlowCluster.open();
    const flag = join(cluster.scratch.path, "flag");
    const script = `[ -e ${flag} ] && { echo second; exit 0; }; touch ${flag}; echo first; exit 3`;
    const retry = { retry: { exit: { attempts: 2, backoff_ms: 1 } } };
    const { row, transcript } = await runAgent(cluster, script, retry);
    expect(row).toMatchObject({ outcome: "succeeded", attempts: 2 });
    expect(transcript()).toBe("second\n");
  });

  test("that tells what it used has it in its row and in the report of its flow, with what it used before it failed", async () => {
    await using cluster = await FlowCluster.open();
    const flag = join(cluster.scratch.path, "flag");
    const told = (turns: number, cost: number) =>
      `echo '{"type":"result","num_turns":${turns},"usage":{"input_tokens":40,"output_tokens":2},"total_cost_usd":${cost}}'`;
    const script = `[ -e ${flag} ] && { ${told(2, 0.25)}; exit 0; }; touch ${flag}; ${told(1, 0.5)}; exit 3`;
    const retry = { retry: { exit: { attempts: 2, backoff_ms: 1 } } };
    const { ended, row } = await runAgent(cluster, script, retry);
    const used = { turns: 3, tokens: 84, costUsd: 0.75 };
    expect(row).toMatchObject({ outcome: "succeeded", attempts: 2, agent: used });
    expect(ended.status.report?.flow?.agents).toEqual(used);
    const report = readFileSync(join(ended.status.report?.output ?? "", "../report.md"), "utf8");
    expect(report).toContain("- agents used 3 turns, 84 tokens and 0.7500 US dollars\n");
  });

  test("that tells nothing of it has nothing of it in its row", async () => {
    await using cluster = await FlowCluster.open();
    const { ended, row } = await runAgent(cluster, "echo done");
    expect(row.agent).toBeUndefined();
    expect(ended.status.report?.flow?.agents).toBeUndefined();
  });

  test("starts nothing that it may not do itself", async () => {
    await using cluster = await FlowCluster.open();
    const asking = (tools: string, turns: number) =>
      `{"version":1,"name":"inner","nodes":[{"id":"a","kind":"agent","prompt":"p","tools":[${tools}],"max_turns":${turns}}]}`;
    const [wide, narrow] = [join(cluster.scratch.path, "wide.json"), join(cluster.scratch.path, "narrow.json")];
    writeFileSync(wide, asking('"Bash"', 9));
    writeFileSync(narrow, asking('"Read"', 2));
    const headroom = join(import.meta.dirname, "../../../bin/headroom.js");
    const config = join(cluster.scratch.path, "headroom.yaml");
    writeFileSync(config, "agents: { default: { command: [/bin/true] } }\n");
    const validate = (file: string) =>
      `${process.execPath} ${headroom} flow validate ${file} --config ${config} 2>&1; echo "exit $?"`;
    const { transcript } = await runAgent(cluster, `${validate(wide)}; ${validate(narrow)}`, {
      tools: ["Read"],
      max_turns: 5,
    });
    const said = transcript();
    expect(said).toContain("a tool that allow.tools names (Read)");
    expect(said).toContain("5 turns of agents in all at most (allow.limits.turns)");
    expect(said.match(/^exit \d$/gm)).toEqual(["exit 2", "exit 0"]);
  });

  test("that holds to its limits, or tells nothing of them, is left alone", async () => {
    await using cluster = await FlowCluster.open();
    const calm = `for turn in 1 2 3; do ${spoken("ls%.0s")}; done; echo done`;
    const { row } = await runAgent(cluster, calm, { max_turns: 3, max_tokens: 300, max_cost_usd: 0 });
    expect(row).toMatchObject({ outcome: "succeeded", failureClass: null });
  });
});
