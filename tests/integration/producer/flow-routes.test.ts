import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createPlans, createWorld, drawOf } from "../../support/hostile-plans.ts";
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
    await expect.poll(() => states(intake, runId)).toEqual({ first: "succeeded", look: "asking", last: "waiting" });
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
});
