/** The calls of one job: one after the other, each as its node says, and what a cancel of one of them leaves to the others. */
import { expect, test } from "vitest";
import { parseRunSpec } from "../../../../src/contract/run-request.ts";
import type { ChunkEnd, ChunkEvents, ChunkRequest } from "../../../../src/worker/executor/chunk-request.ts";
import { NodeCancels } from "../../../../src/worker/executor/node-cancels.ts";
import { runCalls } from "../../../../src/worker/executor/run-calls.ts";

const paths = ["a", "b", "c"];
const specs = new Map(
  paths.map((path) => [
    path,
    parseRunSpec({ command: ["/bin/echo", path], input: { kind: "none" }, output: { root: "/o", from: "none" } }),
  ]),
);
const request = { files: paths.map((path, index) => ({ path, index, bytes: 0 })) } as unknown as ChunkRequest;
const eventsOf = () => ({}) as ChunkEvents;
const done: ChunkEnd = { kind: "done", notRun: [], interrupted: [], postponed: [], fenced: [] };

async function run(
  onRun: (path: string, signal: AbortSignal, cancels: NodeCancels) => void,
  stop = new AbortController(),
) {
  const ran: string[] = [];
  const cancels = new NodeCancels();
  const runner = {
    run: ({ spec, files }: ChunkRequest, _: ChunkEvents, signal: AbortSignal): Promise<ChunkEnd> => {
      const path = spec.command[1] ?? "";
      ran.push(path);
      onRun(path, signal, cancels);
      if (path === "a" && onRun.length === 0) stop.abort(new Error("worker stops"));
      return Promise.resolve(signal.aborted ? { ...done, kind: "aborted", notRun: files } : done);
    },
  };
  return { ran, end: await runCalls(runner, { request, specs, cancels, eventsOf }, stop.signal) };
}

test("each runs as its node says, in their order", async () => {
  const { ran, end } = await run((_) => undefined);
  expect({ ran, end }).toEqual({ ran: paths, end: done });
});

test("one that is cancelled while it runs, or before, has no part in the end of the job", async () => {
  const running = await run((path, _, cancels) => {
    if (path === "b") cancels.cancel("b");
  });
  expect(running).toEqual({ ran: paths, end: done });
  const before = await run((path, _, cancels) => {
    if (path === "a") cancels.cancel("c");
  });
  expect(before).toEqual({ ran: ["a", "b"], end: done });
});

test("those behind one that was stopped did not run", async () => {
  const { ran, end } = await run(() => undefined);
  expect(ran).toEqual(["a"]);
  expect(end.kind).toBe("aborted");
  expect(end.notRun.map(({ path }) => path)).toEqual(paths);
});

test("one that runs when its job is stopped is told so, with the reason", async () => {
  const stop = new AbortController();
  let seen: unknown;
  const { ran } = await run((path, signal, _) => {
    if (path !== "b") return;
    stop.abort(new Error("worker stops"));
    seen = signal.reason;
  }, stop);
  expect({ ran, seen }).toEqual({ ran: ["a", "b"], seen: new Error("worker stops") });
});
