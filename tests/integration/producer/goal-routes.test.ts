import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../../src/contract/config-faults.ts";
import { startFlowIntake, type FlowIntake } from "../../support/flow-intake.ts";
import { makeTempFolder } from "../../support/temp-folder.ts";

type Json = Readonly<Record<string, unknown>>;
const goal = "Say hello to somebody.";
const plan = {
  ...{ version: 1, name: "hello", inputs: { who: {} } },
  nodes: [
    {
      ...{ id: "say", kind: "exec", command: ["/bin/echo", "hello ${inputs.who}"], timeout_seconds: 10 },
      output: { name: "said.txt" },
    },
  ],
};

/** An intake whose planner answers from a folder, one answer after the other. */
async function startPlanning(answers: readonly string[], allow: Json = {}, workers = 0): Promise<FlowIntake> {
  const folder = makeTempFolder();
  mkdirSync(join(folder.path, "hello"));
  writeFileSync(join(folder.path, "hello/goal.txt"), `${goal}\n`);
  answers.forEach((text, at) => {
    writeFileSync(join(folder.path, `hello/${at + 1}.txt`), text);
  });
  const planners = { replay: { kind: "recorded", folder: folder.path, repairs: 1, budget: { calls: 2 } } };
  const parsed = parseConfig({ allow: { binaries: ["/bin/echo", "/usr/bin/echo"], ...allow }, planners });
  if (parsed.kind !== "valid") throw new TypeError(JSON.stringify(parsed.faults));
  return startFlowIntake({ allow: parsed.config.allow, planners: parsed.config.planners }, workers);
}

describe("goals over HTTP", () => {
  test("a planner's faults go back to it, its plan is kept by its hash, and runs when somebody approves that", async () => {
    const hostile = { ...plan, nodes: [{ ...plan.nodes[0], command: ["/bin/sh", "-c", "id"] }] };
    await using intake = await startPlanning([JSON.stringify(hostile), JSON.stringify(plan)], {}, 1);
    const made = await intake.ask("POST /v1/goals", { body: { goal } });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ origin: { goal, spent: { calls: 2, repairs: 1 }, planner: { name: "replay" } } });
    const hash = String(made.body["sha256"]);
    expect((await intake.ask("GET /v1/plans/{hash}", { parts: [hash] })).body).toEqual(made.body);
    expect((await intake.ask("GET /v1/runs")).body["runs"]).toEqual([]);
    const request = { plan: hash, inputs: { who: "Ada" }, output: intake.folder };
    const alone = await intake.ask("POST /v1/flows", { body: request });
    expect(alone.body).toMatchObject({ status: 400, errors: [{ pointer: "/approvedBy" }] });
    const started = await intake.ask("POST /v1/flows", { body: { ...request, approvedBy: "Ada" } });
    const runId = String(started.body["id"]);
    await intake.cluster.ended(runId);
    const node = await intake.ask("GET /v1/runs/{id}/nodes/{node}", { parts: [runId, "say"] });
    expect(readFileSync(String(node.body["output"]), "utf8")).toBe("hello Ada\n");
    const flow = await intake.ask("GET /v1/runs/{id}/flow", { parts: [runId] });
    expect([flow.body["planSha256"], flow.body["plan"]]).toEqual([hash, made.body["plan"]]);
    // Running it does not make it anybody's own.
    expect((await intake.ask("GET /v1/plans/{hash}", { parts: [hash] })).body["origin"]).toEqual(made.body["origin"]);
  });

  test("a plan that is refused to its end is none, and says why", async () => {
    const hostile = JSON.stringify({ ...plan, nodes: [{ ...plan.nodes[0], command: ["/bin/sh"] }] });
    await using intake = await startPlanning([hostile, hostile]);
    const refused = await intake.ask("POST /v1/goals", { body: { goal } });
    expect(refused.body).toMatchObject({ status: 422, code: "ERR_PLAN_REFUSED" });
    expect(JSON.stringify(refused.body["errors"])).toContain("allow.binaries");
  });

  test("what is asked for wrongly is told with its place", async () => {
    await using intake = await startPlanning([JSON.stringify(plan)]);
    const pointers = async (body: unknown): Promise<unknown> => {
      const answer = await intake.ask("POST /v1/goals", { body });
      expect(answer.status).toBe(400);
      return (answer.body["errors"] as Json[]).map((error) => error["pointer"]);
    };
    expect(await pointers({})).toEqual(["/goal"]);
    expect(await pointers({ goal, planner: "nobody" })).toEqual(["/planner"]);
    expect(await pointers({ goal, budget: { calls: 3 } })).toEqual(["/budget/calls"]);
    expect((await intake.ask("GET /v1/plans/{hash}", { parts: ["0".repeat(64)] })).status).toBe(404);
    const unknown = { plan: "0".repeat(64), output: intake.folder };
    expect((await intake.ask("POST /v1/flows", { body: unknown })).status).toBe(404);
    expect((await intake.ask("POST /v1/flows", { body: { output: intake.folder } })).status).toBe(400);
  });

  test("a planned flow is closed where nobody has said what may run", async () => {
    await using intake = await startPlanning([JSON.stringify(plan)], { binaries: undefined });
    const made = await intake.ask("POST /v1/goals", { body: { goal } });
    const body = { plan: made.body["sha256"], inputs: { who: "x" }, output: intake.folder, approvedBy: "Ada" };
    const refused = await intake.ask("POST /v1/flows", { body });
    expect(refused.body).toMatchObject({ status: 403, code: "ERR_POLICY" });
  });
});

describe("an ended flow", () => {
  test("is begun anew from a node, with other inputs, over HTTP", async () => {
    await using intake = await startFlowIntake();
    const exec = (id: string, script: string, more: Json = {}): Json => ({
      ...{ id, kind: "exec", command: ["/bin/sh", "-c", script], output: { name: "out" }, ...more },
    });
    const log = join(intake.folder, "log");
    const nodes = [
      exec("a", `echo a >> ${log}; echo x`),
      exec("b", `echo b >> ${log}; echo \${inputs.word}`, { needs: ["a"] }),
    ];
    const flow = { version: 1, name: "made", inputs: { word: { default: "one" } }, nodes };
    const started = await intake.ask("POST /v1/flows", { body: { flow, output: intake.folder } });
    const parts = [String(started.body["id"])];
    await intake.cluster.ended(parts[0] ?? "");
    const wrong = await intake.ask("POST /v1/runs/{id}/resume", {
      parts,
      body: { from: ["c"], inputs: { wrod: "x" } },
    });
    expect(wrong.body).toMatchObject({ status: 400, errors: [{ pointer: "/from/0" }, { pointer: "/inputs/wrod" }] });
    const again = await intake.ask("POST /v1/runs/{id}/resume", { parts, body: { inputs: { word: "two" } } });
    expect([again.status, again.body["epoch"]]).toEqual([202, 1]);
    await intake.cluster.ended(parts[0] ?? "");
    const b = await intake.ask("GET /v1/runs/{id}/nodes/{node}", { parts: [...parts, "b"] });
    expect(readFileSync(String(b.body["output"]), "utf8")).toBe("two\n");
    await intake.ask("POST /v1/runs/{id}/resume", { parts, body: { from: ["a"] } });
    expect((await intake.ask("POST /v1/runs/{id}/resume", { parts, body: {} })).status).toBe(409);
    await intake.cluster.ended(parts[0] ?? "");
    expect(readFileSync(log, "utf8")).toBe("a\nb\nb\na\nb\n");
  });
});
