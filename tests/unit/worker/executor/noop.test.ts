import { describe, expect, test } from "vitest";
import { runSpec } from "../../../../src/contract/run-spec.ts";
import type { FileResult } from "../../../../src/contract/files.ts";
import type { ChunkEvents, ChunkRequest } from "../../../../src/worker/executor/chunk-request.ts";
import { runNoop } from "../../../../src/worker/executor/noop.ts";

const files = Array.from({ length: 5_000 }, (_, index) => ({ index, path: `f${index}`, bytes: 1 }));
const request: ChunkRequest = {
  chunkId: "c",
  runId: "r",
  epoch: 0,
  workerId: "w",
  token: "t",
  spec: runSpec.parse({
    executor: "noop",
    command: ["/bin/true"],
    input: { kind: "synthetic", root: "/", count: files.length },
    output: { root: "/out", from: "none" },
  }),
  files,
  known: new Map(),
  intents: new Map(),
  quarantined: new Set(),
  suspects: new Map(),
  isOneByOne: false,
  gpu: null,
};

function keep(onResults: () => void = () => undefined): { events: ChunkEvents; results: FileResult[] } {
  const results: FileResult[] = [];
  const events: ChunkEvents = {
    starting: () => Promise.resolve(),
    mayPublish: () => Promise.resolve([]),
    results: (some) => {
      results.push(...some);
      onResults();
    },
    reused: () => undefined,
    measured: () => undefined,
    usage: () => undefined,
  };
  return { events, results };
}

describe("noop executor", () => {
  test("succeeds every file once, in order", async () => {
    const { events, results } = keep();
    const end = await runNoop(request, events, new AbortController().signal);
    expect(end).toEqual({ kind: "done", notRun: [], interrupted: [], postponed: [], fenced: [] });
    expect(results.map((result) => result.path)).toEqual(files.map((file) => file.path));
    expect(new Set(results.map((result) => result.outcome))).toEqual(new Set(["succeeded"]));
  });

  test("stops at an abort and says what is left", async () => {
    const abort = new AbortController();
    const { events, results } = keep(() => {
      abort.abort();
    });
    const end = await runNoop(request, events, abort.signal);
    expect(end.kind).toBe("aborted");
    expect(results.length + end.notRun.length).toBe(files.length);
    expect(end.notRun[0]).toEqual(files[results.length]);
  });
});
