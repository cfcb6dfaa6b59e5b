/** What a flow comes to: its outputs, for the flow around it and for whoever started it. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { checkFlow } from "../../../src/contract/flow-check.ts";
import { MAX_OUTPUTS_BYTES } from "../../../src/platform/flow/flow-outputs.ts";
import { sandboxFault } from "../../../src/worker/executor/sandbox.ts";
import { FlowCluster } from "../../support/flow-cluster.ts";

const fault = await sandboxFault();
const once = { exit: { attempts: 1 } };
const sh = (id: string, script: string, more: object = {}) => ({
  ...{ id, kind: "exec" as const, command: ["/bin/sh", "-c", script], output: { name: `${id}.txt` }, retry: once },
  ...more,
});

function flowOf(written: object, files: Readonly<Record<string, object>>) {
  const check = checkFlow(
    { version: 1, name: "outer", ...written },
    Object.fromEntries(Object.entries(files).map(([name, file]) => [name, { version: 1, name, ...file }])),
  );
  if (check.kind === "faulty") throw new TypeError(JSON.stringify(check.faults));
  return check.flow;
}

async function start(cluster: FlowCluster, flow: ReturnType<typeof flowOf>) {
  const folder = (id: string) => join(cluster.scratch.folder("runs"), id);
  const setting = { inputs: {}, base: "/", binaries: {}, agents: {}, folder };
  const run = await cluster.client.flows.start(flow, setting);
  return cluster.ended(run.id);
}

const counting = {
  inputs: { by: { type: "number", default: 2 } },
  outputs: {
    count: "${nodes.count.result.n * inputs.by}",
    file: "${nodes.say.output}",
    words: "said ${nodes.say.outcome}",
    all: "${nodes.each.items.map(i, i.result)}",
  },
  nodes: [
    sh("count", "echo '{\"n\": 21}'", { output: { name: "n.json", json: true } }),
    sh("say", "echo hello"),
    sh("each", "echo ${item}", { foreach: [1, 2], output: { name: "e.json", json: true } }),
  ],
};

describe("the outputs of a flow", { timeout: 120_000 }, () => {
  test("are what the flow around it sees as its result, values with their types, files by their paths", async () => {
    await using cluster = await FlowCluster.open();
    const nodes = [
      { id: "sub", kind: "flow", file: "c.json" },
      sh("use", 'cat "$1"; echo $(($2 + 1)) "$3"', {
        needs: ["sub"],
        command: [
          ...["/bin/sh", "-c", 'cat "$1"; echo $(($2 + 1)) "$3" $4 $5; cat "$6"/artifacts/say/say.txt', "sh"],
          ...["${nodes.sub.result.file}", "${nodes.sub.result.count}", "${nodes.sub.result.words}"],
          ...["${nodes.sub.result.all}", "${nodes.sub.output}"],
        ],
      }),
      {
        id: "over",
        kind: "files",
        needs: ["sub"],
        input: "${nodes.sub.output}/artifacts/say",
        command: ["/bin/cat", "{input}"],
      },
      sh("each", "echo ${item}", { needs: ["sub"], foreach: "nodes.sub.result.all" }),
    ];
    const outputs = { total: "${nodes.sub.result.count}" };
    const ended = await start(cluster, flowOf({ nodes, outputs }, { "c.json": counting }));
    expect(ended.status.state).toBe("succeeded");
    expect(ended.text("use")).toBe("hello\n43 said succeeded 1 2\nhello\n");
    expect(Object.keys(ended.outcomes)).toContain("each/1");
    expect(ended.status.report?.flow?.outputs).toEqual({ total: 42 });
    const report = JSON.parse(
      readFileSync(join(dirname(ended.status.spec.output.root), "report.json"), "utf8"),
    ) as object;
    expect(report).toMatchObject({ flow: { outputs: { total: 42 } } });
    expect((await cluster.ended(`${ended.status.id}~sub`)).status.report?.flow?.outputs).toMatchObject({
      all: [1, 2],
      words: "said succeeded",
    });
  });

  test("of a flow in which a node failed are null where they are not known, and told where all did well", async () => {
    await using cluster = await FlowCluster.open();
    const outputs = { n: "${nodes.count.result.n}", fine: "${nodes.fine.outcome}" };
    const failing = {
      outputs,
      nodes: [sh("count", "exit 3", { output: { name: "n", json: true } }), sh("fine", "echo fine")],
    };
    const bad = {
      ...failing,
      nodes: [sh("count", "echo 1", { output: { name: "n", json: true } }), sh("fine", "echo fine")],
    };
    const large = {
      outputs: { n: "${nodes.count.result + nodes.count.result}" },
      nodes: [
        sh("count", `printf '"%s"' $(head -c ${Math.floor(MAX_OUTPUTS_BYTES * 0.6)} /dev/zero | tr '\\0' x)`, {
          output: { name: "n", json: true },
        }),
      ],
    };
    const on = (node: string) => [{ node, on: "failure" as const }];
    const nodes = [
      { id: "failing", kind: "flow", file: "f.json" },
      { id: "bad", kind: "flow", file: "b.json" },
      { id: "large", kind: "flow", file: "l.json" },
      sh("after", "echo ${nodes.failing.result.n == null} ${nodes.failing.result.fine}", { needs: on("failing") }),
    ];
    const files = { "f.json": failing, "b.json": bad, "l.json": large };
    const ended = await start(cluster, flowOf({ nodes }, files));
    expect(ended.text("after")).toBe("true succeeded\n");
    expect(ended.row("failing")).toMatchObject({ outcome: "failed", failureClass: "exit" });
    expect(ended.row("bad")).toMatchObject({ outcome: "failed", failureClass: "bad-output" });
    expect(ended.row("bad").message).toMatch(/^outputs\.n: expected .*, found .*/);
    expect(ended.row("large")).toMatchObject({ outcome: "failed", failureClass: "bad-output" });
    expect(ended.row("large").message).toContain(`outputs: expected ${MAX_OUTPUTS_BYTES} bytes`);
  });

  test.skipIf(fault !== undefined)("are seen by a node that is shut in", async () => {
    await using cluster = await FlowCluster.open();
    const nodes = [
      { id: "sub", kind: "flow", file: "c.json" },
      sh("use", "cat ${nodes.sub.result.file}", { needs: ["sub"], sandbox: "strict" }),
    ];
    const ended = await start(cluster, flowOf({ nodes }, { "c.json": counting }));
    expect(ended.text("use")).toBe("hello\n");
  });
});
