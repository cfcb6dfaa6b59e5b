import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createPlans, createWorld, drawOf } from "../../support/hostile-plans.ts";
import { makeTempFolder } from "../../support/temp-folder.ts";
import { startFlowIntake, type FlowIntake } from "../../support/flow-intake.ts";

type Json = Readonly<Record<string, unknown>>;
interface Errors {
  readonly errors: readonly { readonly pointer: string; readonly detail: string; readonly rule?: string }[];
}

const exec = (id: string, script: string, more: Json = {}): Json => ({
  ...{ id, kind: "exec", command: ["/bin/sh", "-c", script], output: { name: "out" }, ...more },
});
const flowOf = (nodes: readonly Json[], more: Json = {}): Json => ({ version: 1, name: "made", nodes, ...more });
const gated = flowOf([
  exec("first", "echo one"),
  { id: "look", kind: "gate", message: "go on?", needs: ["first"] },
  exec("last", "echo two", { needs: ["look"] }),
]);

async function start(intake: FlowIntake, flow: unknown, more: Json = {}): Promise<string> {
  const { status, body } = await intake.ask("POST /v1/flows", { body: { flow, output: intake.folder, ...more } });
  expect([status, body["state"]]).toEqual([201, "queued"]);
  return String(body["id"]);
}

async function states(intake: FlowIntake, runId: string): Promise<Record<string, unknown>> {
  const { body } = await intake.ask("GET /v1/runs/{id}/flow", { parts: [runId] });
  return Object.fromEntries((body["nodes"] as Json[]).map((node) => [String(node["path"]), node["state"]]));
}

describe("flows over HTTP", () => {
  test("a flow is started, looked at while it waits for an answer, answered, and ends", async () => {
    await using intake = await startFlowIntake();
    const runId = await start(intake, gated);
    await expect
      .poll(() => states(intake, runId), { timeout: 30_000 })
      .toEqual({ first: "succeeded", look: "asking", last: "waiting" });
    const gates = await intake.ask("GET /v1/gates");
    expect(gates.body).toEqual({ gates: [{ runId, name: "made", path: "look", message: "go on?" }] });
    const taken = { parts: [runId, "look"], body: { approved: true, by: "Ada", note: "looks good" } };
    expect((await intake.ask("POST /v1/gates/{run}/{node}", taken)).status).toBe(200);
    const again = await intake.ask("POST /v1/gates/{run}/{node}", { ...taken, body: { approved: false, by: "Bob" } });
    expect(again.status).toBe(409);
    await intake.cluster.ended(runId);
    expect(await states(intake, runId)).toEqual({ first: "succeeded", look: "succeeded", last: "succeeded" });
    const gate = await intake.ask("GET /v1/runs/{id}/nodes/{node}", { parts: [runId, "look"] });
    expect(gate.body).toMatchObject({
      state: "succeeded",
      message: "approved by Ada: looks good",
      node: { id: "look" },
    });
    const last = await intake.ask("GET /v1/runs/{id}/nodes/{node}", { parts: [runId, "last"] });
    expect(readFileSync(String(last.body["output"]), "utf8")).toBe("two\n");
    expect((await intake.ask("GET /v1/gates")).body).toEqual({ gates: [] });
  });

  test("a flow comes as a text of YAML too, with files that it names and inputs", async () => {
    await using intake = await startFlowIntake();
    const text = [
      "version: 1",
      "name: from text",
      "inputs: { word: {} }",
      "nodes:",
      "  - { id: part, kind: flow, file: parts/say.yaml, inputs: { said: '${inputs.word}' } }",
    ].join("\n");
    const part = flowOf([{ ...exec("say", "echo $WORD"), env: { WORD: "${inputs.said}" } }], { inputs: { said: {} } });
    const more = { files: { "parts/say.yaml": JSON.stringify(part) }, inputs: { word: "hello" } };
    const runId = await start(intake, text, more);
    await intake.cluster.ended(runId);
    const { body } = await intake.ask("GET /v1/runs/{id}/flow", { parts: [runId] });
    const [node] = body["nodes"] as Json[];
    expect(node).toMatchObject({ path: "part", state: "succeeded" });
    const inner = await intake.ask("GET /v1/runs/{id}/flow", { parts: [String(node?.["childRunId"])] });
    expect(inner.body).toMatchObject({
      nodes: [{ path: "say", state: "succeeded" }],
      plan: { flow: { name: "made" } },
    });
    const said = await intake.ask("GET /v1/runs/{id}/nodes/{node}", { parts: [String(node?.["childRunId"]), "say"] });
    expect(readFileSync(String(said.body["output"]), "utf8")).toBe("hello\n");
  });

  test("instances of a fan-out are nodes of their own", async () => {
    await using intake = await startFlowIntake();
    const runId = await start(
      intake,
      flowOf([exec("each", "echo ${item}; test ${item} != b", { foreach: ["a", "b"] })]),
    );
    await intake.cluster.ended(runId);
    const group = await intake.ask("GET /v1/runs/{id}/nodes/{node}", { parts: [runId, "each"] });
    expect(group.body).toMatchObject({ state: "failed", instances: { total: 2, ended: 2 }, file: null });
    const bad = await intake.ask("GET /v1/runs/{id}/nodes/{node}", { parts: [runId, "each/1"] });
    expect(bad.body).toMatchObject({ path: "each/1", state: "failed", exitCode: 1, file: { outcome: "failed" } });
    for (const path of ["each/2", "each/-1", "each/x", "none", "__proto__"]) {
      const answer = await intake.ask("GET /v1/runs/{id}/nodes/{node}", { parts: [runId, path] });
      expect([path, answer.status]).toEqual([path, 404]);
    }
  });

  test("a day after its end a flow is told from its rows", async () => {
    await using intake = await startFlowIntake();
    const runId = await start(intake, flowOf([exec("each", "echo x", { foreach: [1, 2] }), exec("no", "exit 3")]));
    await intake.cluster.ended(runId);
    await intake.cluster.redis.del(`${intake.cluster.kp}:flow:${runId}:0`);
    const { body } = await intake.ask("GET /v1/runs/{id}/flow", { parts: [runId] });
    expect(body["nodes"]).toMatchObject([
      { path: "each", state: "succeeded", instances: { total: 2, ended: 2 } },
      { path: "no", state: "failed", message: "expected exit code 0, found 3" },
    ]);
    const one = await intake.ask("GET /v1/runs/{id}/nodes/{node}", { parts: [runId, "each/1"] });
    expect(one.body).toMatchObject({ state: "succeeded", file: { outcome: "succeeded" } });
  });

  test("one node is cancelled, and what hangs on it; the rest goes on", async () => {
    await using intake = await startFlowIntake();
    const nodes = [exec("slow", "sleep 60"), exec("after", "echo x", { needs: ["slow"] }), exec("other", "echo x")];
    const runId = await start(intake, flowOf(nodes));
    await expect
      .poll(() => states(intake, runId), { timeout: 30_000 })
      .toMatchObject({ slow: "running", other: "succeeded" });
    const parts = [runId, "slow"];
    const cancelled = await intake.ask("DELETE /v1/runs/{id}/nodes/{node}", { parts, query: "?reason=too%20slow" });
    expect([cancelled.status, cancelled.body["state"], cancelled.body["message"]]).toEqual([
      202,
      "cancelled",
      "too slow",
    ]);
    expect((await intake.ask("DELETE /v1/runs/{id}/nodes/{node}", { parts })).status).toBe(409);
    const none = await intake.ask("DELETE /v1/runs/{id}/nodes/{node}", { parts: [runId, "other/7"] });
    expect(none.status).toBe(404);
    await intake.cluster.ended(runId);
    expect(await states(intake, runId)).toEqual({ slow: "cancelled", after: "cancelled", other: "succeeded" });
  });

  test("a dry run says what would run, and nothing does", async () => {
    await using intake = await startFlowIntake({}, 0);
    const nodes = [{ ...exec("say", "echo ${inputs.word}"), id: "say" }];
    const flow = flowOf(nodes, { inputs: { word: { default: "hi" } } });
    const { status, body } = await intake.ask("POST /v1/flows", {
      body: { flow, output: intake.folder, dryRun: true },
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      dryRun: true,
      inputs: { word: "hi" },
      nodes: [{ id: "say", command: ["/bin/sh", "-c", "echo hi"] }],
    });
    const verdict = await intake.ask("POST /v1/flows/validate", { body: { flow } });
    expect(verdict.body).toEqual({ valid: true, errors: [], hash: body["hash"], nodes: 1, depth: 1, width: 1 });
    expect((await intake.ask("GET /v1/runs")).body["runs"]).toEqual([]);
    expect(existsSync(join(intake.folder, "runs"))).toBe(false);
  });

  test("the same key and body give the same run, another body is refused", async () => {
    await using intake = await startFlowIntake({}, 0);
    const headers = { "idempotency-key": "once" };
    const body = { flow: gated, output: intake.folder };
    const first = await intake.ask("POST /v1/flows", { body, headers });
    const again = await intake.ask("POST /v1/flows", { body, headers });
    expect([first.status, again.status, again.body["id"]]).toEqual([201, 200, first.body["id"]]);
    const other = await intake.ask("POST /v1/flows", { body: { ...body, base: "/tmp" }, headers });
    expect([other.status, other.body["code"]]).toEqual([422, "ERR_IDEMPOTENCY_KEY_REUSED"]);
  });

  test("every fault is told with its place in the body, and its line in a text", async () => {
    await using intake = await startFlowIntake({}, 0);
    const ask = async (body: unknown): Promise<readonly string[]> => {
      const answer = await intake.ask("POST /v1/flows", { body });
      expect([answer.status, answer.body["code"]]).toEqual([400, "ERR_INVALID_INPUT"]);
      return (answer.body as unknown as Errors).errors.map(({ pointer, detail }) => `${pointer} ${detail}`);
    };
    const output = intake.folder;
    expect(await ask({ flow: 1, output: "here", flows: 1 })).toEqual([
      expect.stringMatching(/^\/flow expected a flow file/),
      expect.stringMatching(/^\/output expected an absolute path/),
      expect.stringMatching(/^\/flows expected a known key \(did you mean "flow"\?\)/),
    ]);
    const bare = flowOf([
      { id: "a", kind: "exec", command: ["sha256sum"] },
      { id: "b", kind: "flow", file: "b.yaml" },
    ]);
    const files = { "b.yaml": flowOf([{ id: "c", kind: "files", command: ["./x", "{input}"], input: "/in" }]) };
    expect(await ask({ flow: bare, files, output })).toEqual([
      expect.stringMatching(/^\/flow\/nodes\/0\/command\/0 expected the absolute path of a binary.*found "sha256sum"/),
      expect.stringMatching(/^\/files\/b.yaml\/nodes\/0\/command\/0 expected the absolute path.*found ".\/x"/),
    ]);
    const text = "version: 1\nname: x\nnodes:\n  - id: a\n    kind: exec\n    comand: [/bin/true]\n";
    expect(await ask({ flow: text, output })).toContainEqual(
      expect.stringMatching(/^\/flow\/nodes\/0\/comand line 6: /),
    );
    expect(await ask({ flow: "a: [", output })).toEqual([
      expect.stringMatching(/^\/flow text:1:\d+: expected valid YAML/),
    ]);
    const laughs = "a: &a [1, 2]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [" + "*c, ".repeat(200) + "1]\n";
    expect(await ask({ flow: laughs, output })).toEqual([expect.stringMatching(/aliases at most/)]);
    expect(await ask({ flow: "#".repeat(1_100_000), output })).toEqual([
      expect.stringMatching(/^\/flow expected 1048576 bytes/),
    ]);
    expect(await ask({ flow: gated, output, inputs: { no: 1 } })).toEqual([
      expect.stringMatching(/^\/inputs\/no expected no inputs/),
    ]);
    const agent = flowOf([{ id: "a", kind: "agent", prompt: "x", program: "nobody" }]);
    expect(await ask({ flow: agent, output })).toEqual([expect.stringMatching(/a program in the section agents/)]);
  });

  test("what is no JSON, too large, or of another type is refused", async () => {
    await using intake = await startFlowIntake({}, 0);
    const large = await intake.ask("POST /v1/flows", { body: JSON.stringify({ flow: "x".repeat(9 * 1_048_576) }) });
    expect([large.status, large.body["code"]]).toEqual([413, "ERR_TOO_LARGE"]);
    expect((await intake.ask("POST /v1/flows", { body: "{" })).status).toBe(400);
    const headers = { "content-type": "application/yaml" };
    expect((await intake.ask("POST /v1/flows", { body: "flow: 1", headers })).status).toBe(415);
    for (const body of [
      {},
      { approved: "yes", by: "x" },
      { approved: true, by: " " },
      { approved: true, by: "x", why: 1 },
    ]) {
      const answer = await intake.ask("POST /v1/gates/{run}/{node}", { parts: ["none", "g"], body });
      expect(answer.status).toBe(400);
    }
    const unknown = { parts: ["none", "g"], body: { approved: true, by: "x" } };
    expect((await intake.ask("POST /v1/gates/{run}/{node}", unknown)).status).toBe(404);
    expect((await intake.ask("GET /v1/runs/{id}/flow", { parts: ["none"] })).status).toBe(404);
  });

  test("a run over files is no flow", async () => {
    await using intake = await startFlowIntake({}, 0);
    const { run } = await intake.cluster.client.run({
      command: ["/bin/cat", "{input}"],
      input: "/etc",
      output: intake.folder,
    });
    const answer = await intake.ask("GET /v1/runs/{id}/flow", { parts: [run.id] });
    expect([answer.status, answer.body["detail"]]).toEqual([404, `expected a known flow, found no flow "${run.id}"`]);
  });

  test("hostile flows are refused, each by its rule, and nothing of them is stored", async () => {
    const folder = makeTempFolder();
    const world = createWorld(folder.path);
    await using intake = await startFlowIntake({ allow: { ...world.allow, write: "any" } }, 0);
    const { families } = createPlans(world);
    for (const [name, make] of Object.entries(families)) {
      for (const seed of [1, 2, 3]) {
        const { plan, files, rule } = make(drawOf(seed));
        const sent = { flow: plan, ...(files !== undefined && { files }), output: intake.folder };
        const { status, body } = await intake.ask("POST /v1/flows", { body: sent });
        const told = (body as unknown as Errors).errors;
        if (status === 403) expect([name, told.map((one) => one.rule)]).toEqual([name, expect.arrayContaining([rule])]);
        else expect([name, status]).toEqual([name, 400]);
        expect(told.every(({ pointer, detail }) => /^\/(flow|files|inputs)/.test(pointer) && detail !== "")).toBe(true);
      }
    }
    expect((await intake.ask("GET /v1/runs")).body["runs"]).toEqual([]);
    folder[Symbol.dispose]();
  });

  test("the folder of runs is held to the rules too", async () => {
    await using intake = await startFlowIntake({ allow: { write: ["/nowhere"] } }, 0);
    const answer = await intake.ask("POST /v1/flows", { body: { flow: gated, output: intake.folder } });
    expect([answer.status, answer.body["code"]]).toEqual([403, "ERR_POLICY"]);
    expect((answer.body as unknown as Errors).errors).toMatchObject([{ pointer: "/output" }]);
  });
});
