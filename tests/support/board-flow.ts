/** A flow in the middle of its work, for the board to show: nodes of every kind and in most states. */
import type { Redis } from "ioredis";
import { checkFlow } from "../../src/contract/flow-check.ts";
import { unrunEnd, type NodeEnd } from "../../src/contract/flow-run.ts";
import type { FlowDocumentInput } from "../../src/contract/flows.ts";
import { keyPrefix } from "../../src/contract/queues.ts";
import { FlowState } from "../../src/platform/flow/flow-state.ts";
import { createClient } from "../../src/producer/client.ts";
import { failedFile, ranFile, type BoardFixture } from "./board-fixture.ts";

export const gateMessage = `Publish <script>alert("gate")</script> to all of the people who asked for it?`;

const document: FlowDocumentInput = {
  version: 1,
  name: "Nightly digests",
  nodes: [
    { id: "fetch", kind: "exec", command: ["/bin/true"], output: { name: "list.json" } },
    { id: "each", kind: "exec", needs: ["fetch"], foreach: ["a", "b", "c"], command: ["/bin/true", "${item}"] },
    { id: "resize", kind: "files", needs: ["fetch"], command: ["/bin/cat", "{input}"], input: "/data/in" },
    { id: "broken", kind: "exec", needs: ["fetch"], command: ["/bin/false"] },
    { id: "tell", kind: "exec", needs: [{ node: "broken", on: "failure" }], command: ["/bin/true"] },
    { id: "publish-to-all", kind: "gate", needs: ["fetch"], message: gateMessage },
    { id: "ask", kind: "agent", needs: ["publish-to-all"], prompt: "Write it up." },
    { id: "clean", kind: "exec", needs: [{ node: "ask", on: "always" }, "resize"], command: ["/bin/true"] },
  ],
};

const succeeded: NodeEnd = { ...unrunEnd("succeeded", "", null), message: null, exitCode: 0 };

/** Starts it, and writes down how some of its nodes ended; the id of its run. */
export async function seedFlow(fixture: BoardFixture, redis: Redis, prefix: string): Promise<string> {
  const check = checkFlow(document);
  if (check.kind === "faulty") throw new TypeError(JSON.stringify(check.faults));
  const { store } = fixture;
  await using client = await createClient({ redis, store, prefix });
  const run = await client.flows.runChecked(check.flow, { folder: "/data/runs", agents: { default: ["/bin/true"] } });
  await store.runs.move(run.id, ["queued"], "running", { startedAtMs: Date.now() - 60_000 });
  const state = new FlowState(redis, keyPrefix(prefix), { runId: run.id, epoch: 0 });
  const broken = { ...unrunEnd("failed", "exit code 3: no such codec", "exit"), exitCode: 3 };
  await state.openGroup("each", ["a", "b", "c"]);
  await state.settle([
    { path: "fetch", end: succeeded },
    { path: "broken", end: broken },
    { path: "each/0", end: succeeded },
  ]);
  await state.setRun("resize", `${run.id}-resize`);
  await store.files.record(run.id, 0, [
    ranFile(0, "fetch"),
    ranFile(1, "each/0"),
    failedFile(3, "broken", "exit code 3: no such codec", "line one"),
  ]);
  return run.id;
}
