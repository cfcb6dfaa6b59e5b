/** Flows run: order, edge rules, conditions, fan-outs, gates, runs as nodes. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { checkFlow } from "../../../src/contract/flow-check.ts";
import { FlowCluster } from "../../support/flow-cluster.ts";

const sh = (id: string, script: string, more: object = {}) => ({
  ...{ id, kind: "exec" as const, command: ["/bin/sh", "-c", script], output: { name: `${id}.txt` } },
  ...more,
});

describe("a flow", { timeout: 120_000 }, () => {
  test("runs a diamond in order, each node seeing what those before it left", async () => {
    await using cluster = await FlowCluster.open();
    const ended = await cluster.run(
      {
        inputs: { who: { default: "you" } },
        nodes: [
          sh("d", "cat ${nodes.b.output} ${nodes.c.output}", { needs: ["b", "c"] }),
          sh("b", "echo b; cat ${nodes.a.output}", { needs: ["a"] }),
          sh("c", "echo c", { needs: ["a"] }),
          sh("a", "echo hello ${inputs.who}"),
        ],
      },
      { inputs: { who: "me" } },
    );
    expect(ended.status.state).toBe("succeeded");
    expect(ended.outcomes).toEqual({ a: "succeeded", b: "succeeded", c: "succeeded", d: "succeeded" });
    expect(ended.text("d")).toBe("b\nhello me\nc\n");
    const folder = join(ended.status.spec.output.root, "..");
    expect(readdirSync(folder).toSorted()).toEqual([
      "artifacts",
      "artifacts.jsonl",
      "events.jsonl",
      "plan.json",
      "report.json",
      "report.md",
    ]);
    const events = readFileSync(join(folder, "events.jsonl"), "utf8").trim().split("\n");
    expect(events).toHaveLength(10);
    expect(JSON.parse(events.at(-1) ?? "")).toMatchObject({ event: "run-ended", state: "succeeded" });
    const report = readFileSync(join(folder, "report.md"), "utf8");
    expect(report).toContain("**succeeded**: 4 of 4 nodes succeeded");
    expect(report).toContain(`\`${ended.row("d").outputSha256}\``);
    expect(ended.status.report?.flow?.criticalPath.map(({ id }) => id)).toEqual([
      "a",
      expect.stringMatching(/^[bc]$/),
      "d",
    ]);
  });

  test("keeps the rules of edges: what failed is mended, what cannot run is skipped, and the run tells both", async () => {
    await using cluster = await FlowCluster.open();
    const ended = await cluster.run({
      nodes: [
        sh("bad", "exit 3", { retry: { exit: { attempts: 1 } } }),
        sh("good", "echo good"),
        sh("mend", "echo ${nodes.bad.exit_code}", { needs: [{ node: "bad", on: "failure" }] }),
        sh("idle", "echo never", { needs: [{ node: "good", on: "failure" }] }),
        sh("after", "echo never", { needs: ["bad"] }),
        sh("later", "echo never", { needs: ["after"] }),
        sh("always", "echo ${nodes.bad.outcome} ${nodes.idle.outcome}", {
          needs: [
            { node: "bad", on: "always" },
            { node: "idle", on: "always" },
          ],
        }),
        sh("when", "echo never", { needs: ["good"], when: 'nodes.good.outcome == "failed"' }),
      ],
    });
    expect(ended.outcomes).toEqual({
      ...{ bad: "failed", good: "succeeded", mend: "succeeded", idle: "skipped", after: "skipped", later: "skipped" },
      ...{ always: "succeeded", when: "skipped" },
    });
    expect(ended.text("mend")).toBe("3\n");
    expect(ended.text("always")).toBe("failed skipped\n");
    expect(ended.row("after").message).toBe("needs bad to end in success, it ended failed");
    expect(ended.status.counts).toMatchObject({ total: 8, succeeded: 3, failed: 1, skipped: 4 });
    // A failure that another node was there for is none of the run.
    expect(ended.status.state).toBe("succeeded");
    expect(ended.status.report?.flow).toMatchObject({ handled: ["bad"], successRatio: 0.75 });
  });

  test("fans out over a list that a node made, and in again", async () => {
    await using cluster = await FlowCluster.open();
    const ended = await cluster.run({
      nodes: [
        sh("list", `echo '{"names":["x","y","{z}"]}'`, { output: { name: "l.json", json: true } }),
        sh("each", "echo ${index} ${item}", { needs: ["list"], foreach: "nodes.list.result.names" }),
        sh("all", "cat $@", {
          needs: ["each"],
          command: ["/bin/cat", "${nodes.each.items.map(one, one.output)}"],
        }),
        sh("none", "echo never", { foreach: [] }),
        sh("behind", "echo ${size(nodes.none.items)}", { needs: ["none"] }),
      ],
    });
    expect(ended.outcomes).toEqual({
      ...{ list: "succeeded", "each/0": "succeeded", "each/1": "succeeded", "each/2": "succeeded", all: "succeeded" },
      ...{ none: "succeeded", behind: "succeeded" },
    });
    expect(ended.text("all")).toBe("0 x\n1 y\n2 {z}\n");
    expect(ended.text("behind")).toBe("0\n");
    expect(ended.status.counts.total).toBe(7);
  });

  test("takes runs over files as nodes, and what hangs on them reads their folder", async () => {
    await using cluster = await FlowCluster.open();
    const input = cluster.scratch.folder("base/in");
    for (const name of ["a", "b"]) writeFileSync(join(input, name), name.toUpperCase());
    const ended = await cluster.run({
      nodes: [
        { id: "sums", kind: "files", command: ["/usr/bin/sha256sum", "{input}"], input: "in" },
        sh("count", "ls ${nodes.sums.output} | wc -l; echo ${nodes.sums.files.succeeded}", { needs: ["sums"] }),
      ],
    });
    expect(ended.outcomes).toEqual({ sums: "succeeded", count: "succeeded" });
    expect(ended.text("count")).toBe("2\n2\n");
    const runs = await cluster.store.runs.list({ limit: 10 });
    expect(runs.map(({ id, state }) => [id, state])).toEqual([
      [`${ended.status.id}~sums`, "succeeded"],
      [ended.status.id, "succeeded"],
    ]);
  });

  test("waits at a gate for the answer of a person, and a refusal is a failure", async () => {
    await using cluster = await FlowCluster.open();
    const id = await cluster.start({
      nodes: [
        { id: "ask", kind: "gate", message: "go on?" },
        { id: "no", kind: "gate", message: "really?" },
        { id: "late", kind: "gate", message: "anybody?", timeout_seconds: 0.2 },
        sh("yes", "echo yes", { needs: ["ask"] }),
        sh("never", "echo no", { needs: ["no"] }),
      ],
    });
    await expect.poll(async () => (await cluster.client.status(id)).counts.failed, { timeout: 20_000 }).toBe(1);
    const run = await cluster.client.status(id);
    const answer = { by: "anna", note: null, atMs: 1 };
    await cluster.client.flows.answer(run, "ask", { ...answer, isApproved: true });
    await cluster.client.flows.answer(run, "no", { ...answer, isApproved: false, note: "not today" });
    const ended = await cluster.ended(id);
    expect(ended.outcomes).toEqual({
      ask: "succeeded",
      no: "failed",
      late: "failed",
      yes: "succeeded",
      never: "skipped",
    });
    expect(ended.row("no").message).toBe("refused by anna: not today");
    expect(ended.row("late")).toMatchObject({ failureClass: "timeout", message: "nobody answered in time" });
  });

  test("asks at a gate with what is known by then, and a gate that cannot say it has failed", async () => {
    await using cluster = await FlowCluster.open();
    const flow = {
      inputs: { name: {} },
      nodes: [
        sh("brew", "echo '{\"cups\": 3}'", { output: { name: "cups.json", json: true } }),
        {
          id: "ask",
          kind: "gate" as const,
          needs: ["brew"],
          message: "${nodes.brew.result.cups} cups of ${inputs.name}?",
        },
        { id: "each", kind: "gate" as const, foreach: ["a", "b"], message: "${item} $${item}" },
        { id: "mute", kind: "gate" as const, needs: ["brew"], message: "${nodes.brew.result.pots}" },
      ],
    };
    const id = await cluster.start(flow, { inputs: { name: "tea" } });
    const run = await cluster.client.status(id);
    const messages = async () =>
      Object.fromEntries((await cluster.client.flows.gates(run)).map(({ path, message }) => [path, message]));
    await expect
      .poll(messages, { timeout: 20_000 })
      .toEqual({ ask: "3 cups of tea?", "each/0": "a ${item}", "each/1": "b ${item}" });
    for (const path of ["ask", "each/0", "each/1"])
      await cluster.client.flows.answer(run, path, { by: "anna", note: null, atMs: 1, isApproved: true });
    const ended = await cluster.ended(id);
    expect(ended.row("mute")).toMatchObject({ outcome: "failed", failureClass: "bad-input" });
  });

  test("ends all nodes when it is cancelled, the runs below it included", async () => {
    await using cluster = await FlowCluster.open();
    const input = cluster.scratch.folder("base/in");
    writeFileSync(join(input, "a"), "a");
    const id = await cluster.start({
      nodes: [
        sh("long", "sleep 100"),
        { id: "files", kind: "files", command: ["/bin/sleep", "100"], input: "in" },
        { id: "gate", kind: "gate", message: "?" },
        sh("after", "echo", { needs: ["long", "files", "gate"] }),
      ],
    });
    await expect
      .poll(async () => (await cluster.client.status(`${id}~files`).catch(() => undefined))?.state, { timeout: 20_000 })
      .toBe("running");
    await cluster.client.cancel(id, "enough");
    const ended = await cluster.ended(id);
    expect(ended.status.state).toBe("cancelled");
    expect(ended.outcomes).toEqual({ long: "cancelled", files: "cancelled", gate: "cancelled", after: "cancelled" });
    expect((await cluster.store.runs.get(`${id}~files`))?.state).toBe("cancelled");
  });

  test("is begun anew: what succeeded stays, what failed runs again, and all that hangs on it", async () => {
    await using cluster = await FlowCluster.open();
    const mended = cluster.scratch.folder("mended");
    const log = join(cluster.scratch.path, "log");
    const id = await cluster.start({
      nodes: [
        sh("first", `echo first >> ${log}; date +%N`),
        sh("breaks", `echo breaks >> ${log}; test -e ${mended}/now`, {
          needs: ["first"],
          output: {},
          retry: { exit: { attempts: 1 } },
        }),
        sh("last", `echo last >> ${log}; cat \${nodes.first.output}`, { needs: ["breaks", "first"] }),
      ],
    });
    const broken = await cluster.ended(id);
    expect(broken.status.state).toBe("failed");
    expect(broken.outcomes).toEqual({ first: "succeeded", breaks: "failed", last: "skipped" });
    mkdirSync(join(mended, "now"));
    await cluster.client.resume(id);
    const ended = await cluster.ended(id);
    expect(ended.status.state).toBe("succeeded");
    expect(ended.text("last")).toBe(broken.text("first"));
    expect(ended.status.report?.reused).toBe(1);
    await cluster.client.flows.resume(ended.status, { from: ["breaks"] });
    const again = await cluster.ended(id);
    expect(again.status).toMatchObject({ state: "succeeded", epoch: 2 });
    expect(readFileSync(log, "utf8").split("\n").filter(Boolean)).toEqual([
      "first",
      "breaks",
      "breaks",
      "last",
      "breaks",
      "last",
    ]);
  });

  test("looks anew at files whose command reads what another node left, when that is another, and when it is told to", async () => {
    await using cluster = await FlowCluster.open();
    const folder = cluster.scratch.folder("base/in");
    const [letter, log] = [join(cluster.scratch.path, "letter"), join(cluster.scratch.path, "log")];
    writeFileSync(join(folder, "one"), "a\na\nb\n");
    writeFileSync(letter, "a");
    const counting = `grep -c "$(cat "$1")" "$2"; echo count >> ${log}`;
    const id = await cluster.start({
      nodes: [
        sh("letter", `cat ${letter}`),
        {
          ...{ id: "count", kind: "files", needs: ["letter"], input: "in" },
          command: ["/bin/sh", "-c", counting, "count", "${nodes.letter.output}", "{input}"],
        },
        sh("show", "cat ${nodes.count.output}/one.output", { needs: ["count"] }),
        {
          ...{ id: "copy", kind: "files", needs: ["count"], input: "${nodes.count.output}" },
          command: ["/bin/sh", "-c", `cat "$1"; echo copy >> ${log}`, "copy", "{input}"],
        },
      ],
    });
    expect((await cluster.ended(id)).text("show")).toBe("2\n");
    writeFileSync(letter, "b");
    await cluster.client.flows.resume(await cluster.client.status(id), { from: ["letter"] });
    const other = await cluster.ended(id);
    expect(other.text("show")).toBe("1\n");
    await cluster.client.flows.resume(other.status, { from: ["count"] });
    expect((await cluster.ended(id)).text("show")).toBe("1\n");
    const ran = () => readFileSync(log, "utf8").trim().split("\n").join(" ");
    expect(ran()).toBe("count copy count copy count copy");
    await expect(cluster.client.resume(`${id}~count`)).rejects.toThrow(
      `run ${id}~count: expected a run of its own, found node count of flow ${id}: resume that one, from count`,
    );
    // Nothing is to be run anew, and nothing has changed.
    await cluster.client.flows.resume(await cluster.client.status(id));
    expect((await cluster.ended(id)).status.state).toBe("succeeded");
    expect(ran()).toBe("count copy count copy count copy");
  });

  test("stops at the first failure when it is told to", async () => {
    await using cluster = await FlowCluster.open();
    const ended = await cluster.run({
      fail_fast: true,
      nodes: [
        sh("bad", "exit 1", { retry: { exit: { attempts: 1 } } }),
        sh("long", "sleep 100"),
        sh("after", "echo", { needs: ["long"] }),
      ],
    });
    expect(ended.status.state).toBe("failed");
    expect(ended.outcomes).toEqual({ bad: "failed", long: "cancelled", after: "cancelled" });
    expect(ended.status.message).toBe("fail-fast: node bad failed");
  });

  test("fails when its time is over: what runs and what waits ends with that reason, the runs below it included", async () => {
    await using cluster = await FlowCluster.open();
    writeFileSync(join(cluster.scratch.folder("base"), "one"), "1");
    const ended = await cluster.run({
      timeout_seconds: 2,
      nodes: [
        sh("quick", "echo quick"),
        sh("slow", "sleep 60"),
        sh("behind", "echo never", { needs: ["slow"] }),
        { id: "ask", kind: "gate", message: "anybody?" },
        { id: "below", kind: "files", command: ["/bin/sh", "-c", "sleep 60", "{input}"], input: "one" },
      ],
    });
    expect(ended.status.state).toBe("failed");
    const reason = "the flow was to take 2 s at most (timeout_seconds)";
    expect(ended.status.message).toBe(reason);
    expect(ended.row("quick")).toMatchObject({ outcome: "succeeded" });
    for (const path of ["slow", "behind", "ask", "below"]) {
      expect(ended.row(path)).toMatchObject({ outcome: "cancelled", failureClass: "timeout", message: reason });
    }
    expect(ended.status.report?.flow?.timedOut).toBe(true);
    expect(ended.status.report?.durationSeconds).toBeGreaterThanOrEqual(2);
    expect(ended.status.report?.durationSeconds).toBeLessThan(20);
  });

  test("keeps its time over the loss of Redis: it counts from when the flow began", async () => {
    await using cluster = await FlowCluster.open();
    const id = await cluster.start({ timeout_seconds: 4, nodes: [sh("slow", "sleep 60"), sh("first", "echo first")] });
    await expect.poll(async () => (await cluster.client.status(id)).counts.succeeded, { timeout: 20_000 }).toBe(1);
    await cluster.redis.flushall();
    const ended = await cluster.ended(id);
    expect(ended.status.state).toBe("failed");
    expect(ended.row("first").outcome).toBe("succeeded");
    expect(ended.row("slow")).toMatchObject({ outcome: "cancelled", failureClass: "timeout" });
  });

  test("leaves no step behind when it ends before its time, and a gate may be called as its steps are", async () => {
    await using cluster = await FlowCluster.open();
    const id = await cluster.start({
      timeout_seconds: 600,
      nodes: [{ id: "begin", kind: "gate", message: "go on?" }, sh("then", "echo then", { needs: ["begin"] })],
    });
    const run = await cluster.client.status(id);
    await expect.poll(() => cluster.client.flows.gates(run)).toEqual([{ path: "begin", message: "go on?" }]);
    await cluster.client.flows.answer(run, "begin", { isApproved: true, by: "anna", note: null, atMs: 1 });
    const ended = await cluster.ended(id);
    expect(ended.outcomes).toEqual({ begin: "succeeded", then: "succeeded" });
    const left = async () => (await cluster.redis.keys(`${cluster.kp}:fork*${id}*deadline*`)).length;
    await expect.poll(left).toBe(0);
  });

  test("runs agents with their prompt, their limits and a task message, and keeps what they print", async () => {
    await using cluster = await FlowCluster.open();
    const script = 'printf "%s|%s|%s|" "$@"; echo $HEADROOM_TASK';
    const ended = await cluster.run(
      {
        nodes: [
          sh("name", "printf Ada"),
          {
            ...{ id: "ask", kind: "agent", needs: ["name"], tools: ["read", "grep"], max_turns: 7 },
            prompt: "greet ${nodes.name.outcome} {output}",
          },
        ],
      },
      {
        agents: {
          default: ["/bin/sh", "-c", script, "sh", "{prompt}", "--tools={tools}", "{max_turns}", "{max_tokens}"],
        },
      },
    );
    expect(ended.outcomes).toEqual({ name: "succeeded", ask: "succeeded" });
    const [prompt, tools, turns, task = ""] = ended.text("ask").split("|");
    expect([prompt, tools, turns]).toEqual(["greet succeeded {output}", "--tools=read,grep", "7"]);
    expect(JSON.parse(task)).toMatchObject({
      ...{ task_id: `${ended.status.id}/ask`, parent_id: ended.status.id },
      constraints: { tools: ["read", "grep"], max_turns: 7, max_tokens: null },
    });
  });

  test("goes on from its plan when Redis forgets everything, and runs nothing again that has a row", async () => {
    await using cluster = await FlowCluster.open();
    const log = join(cluster.scratch.path, "log");
    const id = await cluster.start({
      nodes: [
        sh("first", `echo first >> ${log}`, { output: {} }),
        sh("second", `echo second >> ${log}; until [ -e ${log}.go ]; do sleep 0.05; done`, {
          ...{ needs: ["first"], output: {} },
        }),
        sh("third", `echo third >> ${log}`, { needs: ["second"], output: {} }),
      ],
    });
    await expect
      .poll(() => (existsSync(log) ? readFileSync(log, "utf8") : ""), { timeout: 20_000 })
      .toBe("first\nsecond\n");
    await cluster.redis.flushall();
    writeFileSync(`${log}.go`, "");
    await expect.poll(async () => (await cluster.client.status(id)).state, { timeout: 60_000 }).toBe("succeeded");
    const lines = readFileSync(log, "utf8").trim().split("\n");
    expect(lines.filter((line) => line === "first")).toHaveLength(1);
    expect(lines.filter((line) => line === "third")).toHaveLength(1);
  });

  test("is refused before it starts when it asks for what is not allowed, and checked as a file is", async () => {
    await using cluster = await FlowCluster.open(0);
    const folder = cluster.scratch.folder("runs");
    const client = await cluster.clientWith({ binaries: ["/usr/bin/true"] });
    const document = (binary: string) => ({
      ...{ version: 1 as const, name: "asks" },
      nodes: [{ id: "a", kind: "exec" as const, command: [binary] }],
    });
    await expect(client.flows.run(document("/bin/sh"), { folder })).rejects.toThrow("allow.binaries");
    await expect(client.flows.run({ ...document("/usr/bin/true"), nodes: [] }, { folder })).rejects.toThrow("nodes");
    const run = await client.flows.run(document("/usr/bin/true"), { folder });
    expect(run).toMatchObject({ state: "queued", spec: { executor: "flow" } });
    await client.close();
  });

  test("ends one node that is cancelled, and all that hang on it, while the rest goes on", async () => {
    await using cluster = await FlowCluster.open();
    const go = join(cluster.scratch.path, "go");
    const id = await cluster.start({
      nodes: [
        sh("runs", "sleep 100"),
        sh("rest", `until [ -e ${go} ]; do sleep 0.05; done`, { output: {} }),
        sh("late", "echo late", { needs: ["rest"] }),
        sh("behind", "echo never", { needs: [{ node: "runs", on: "always" }] }),
        sh("far", "echo never", { needs: ["late"] }),
        { id: "ask", kind: "gate", message: "?" },
      ],
    });
    const running = async () => (await cluster.client.status(id)).progress.runningJobs;
    await expect.poll(running, { timeout: 20_000 }).toBe(2);
    const run = await cluster.client.status(id);
    for (const node of ["runs", "far", "ask"]) await cluster.client.flows.cancelNode(run, node, "not this one");
    writeFileSync(go, "");
    const ended = await cluster.ended(id);
    expect(ended.outcomes).toEqual({
      ...{
        runs: "cancelled",
        rest: "succeeded",
        late: "succeeded",
        behind: "cancelled",
        far: "cancelled",
        ask: "cancelled",
      },
    });
    await expect(cluster.client.flows.cancelNode(run, "late", "again")).rejects.toThrow();
  });

  test("takes a model over files as a node, whose answers later nodes read", async () => {
    await using cluster = await FlowCluster.open();
    const root = join(import.meta.dirname, "../../..");
    const ended = await cluster.run({
      nodes: [
        { id: "kinds", kind: "infer", model: join(root, "models/file-kind"), input: join(root, "examples/files") },
        sh("count", "wc -l < ${nodes.kinds.output}/results.jsonl; echo ${nodes.kinds.files.succeeded}", {
          needs: ["kinds"],
        }),
      ],
    });
    expect(ended.outcomes).toEqual({ kinds: "succeeded", count: "succeeded" });
    expect(ended.text("count")).toBe("12\n12\n");
  });

  test("gives a flow in it inputs of their types, and fails where a value is of another", async () => {
    await using cluster = await FlowCluster.open();
    const inner = {
      ...{ version: 1, name: "inner", inputs: { n: { type: "number", default: 1 }, s: { default: "x" } } },
      nodes: [sh("out", "echo ${inputs.n + 1} ${inputs.s}")],
    };
    const below = (id: string, inputs: object) => ({ id, kind: "flow", file: "i.json", inputs, needs: ["five"] });
    const five = { ...sh("five", "echo '[5]'"), output: { name: "o", json: true } };
    const nodes = [
      five,
      below("lit", { n: "5" }),
      below("texty", { n: "${string(nodes.five.result[0])}" }),
      below("wrong", { n: "${nodes.five.result}", s: "${nodes.five.result}" }),
    ];
    const check = checkFlow({ version: 1, name: "outer", nodes }, { "i.json": inner });
    if (check.kind === "faulty") throw new TypeError(JSON.stringify(check.faults));
    const folder = (id: string) => join(cluster.scratch.folder("runs"), id);
    const setting = { inputs: {}, base: "/", binaries: {}, agents: {}, folder };
    const run = await cluster.client.flows.start(check.flow, setting);
    const ended = await cluster.ended(run.id);
    for (const id of ["lit", "texty"]) expect((await cluster.ended(`${run.id}~${id}`)).text("out")).toBe("6 x\n");
    expect(ended.row("wrong")).toMatchObject({ outcome: "failed", failureClass: "bad-input" });
    expect(ended.row("wrong").message).toMatch(
      /inputs\.n: expected a number, found \[5\].*inputs\.s: expected a text, found \[5\]/,
    );
  });
});
