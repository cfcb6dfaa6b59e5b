import { describe, expect, test } from "vitest";
import { unrunResult } from "../../../src/contract/files.ts";
import { parseRunSpec } from "../../../src/contract/run-request.ts";
import type { SpanFacts } from "../../../src/platform/spans.ts";
import { tellClaim, tellFileSpans, tellRunSpan } from "../../../src/worker/job-spans.ts";

const traceId = "0123456789abcdef0011223344556677";
const runSpan = "0011223344556677";
const run = {
  runId: "r1",
  spec: parseRunSpec({ command: ["/bin/true"], input: { kind: "none" }, output: { root: "/", from: "none" }, traceId }),
  epoch: 0,
  state: "running" as const,
  createdAtMs: 1_000,
};

function recording() {
  const told: SpanFacts[] = [];
  return { told, spans: { isOn: true, tell: (span: SpanFacts) => void told.push(span) } };
}

const job = (change: object = {}) =>
  ({
    id: "j1",
    name: "exec",
    queueName: "exec.default@14",
    timestamp: 2_000,
    opts: {},
    data: { runId: "r1", traceId },
    ...change,
  }) as never;

describe("spans of a claim", () => {
  test("are the wait in the queue, and within it the wait for room with its reason", () => {
    const { told, spans } = recording();
    const refusal = { code: "CPU", sinceMs: 3_000, untilMs: 4_900 } as const;
    tellClaim(spans, { job: job(), profile: "default" }, { nowMs: 5_000, refusal });
    const [wait, governor] = told;
    expect(wait).toMatchObject({ name: "wait", traceId, parentId: runSpan, startMs: 2_000, endMs: 5_000 });
    expect(governor).toMatchObject({ name: "governor", parentId: wait?.spanId, startMs: 3_000, endMs: 5_000 });
    expect(governor?.attributes["headroom.admission.waited_for"]).toBe("CPU");
  });

  test("do not blame a refusal that was over before the job came", () => {
    const { told, spans } = recording();
    const refusal = { code: "CPU", sinceMs: 500, untilMs: 1_500 } as const;
    tellClaim(spans, { job: job(), profile: "default" }, { nowMs: 5_000, refusal });
    expect(told[1]).toMatchObject({ startMs: 5_000, attributes: { "headroom.admission.waited_for": "nothing" } });
  });

  test("are not told for a job whose id of a trace is none, nor for a report", () => {
    const { told, spans } = recording();
    const other = job({ data: { runId: "r1", traceId: "r1" } });
    tellClaim(spans, { job: other, profile: "default" }, { nowMs: 5_000, refusal: undefined });
    tellClaim(spans, { job: job({ name: "report" }), profile: "control" }, { nowMs: 5_000, refusal: undefined });
    expect(told).toEqual([]);
  });
});

describe("spans of a file", () => {
  const file = (change: object) => ({
    ...unrunResult({ index: 0, path: "a", bytes: 1 }, { outcome: "succeeded", failureClass: null, message: null }),
    ...{ startedAtMs: 6_000, durationMs: 400, attempts: 1, ...change },
  });

  test("are its process and its publication", () => {
    const { told, spans } = recording();
    tellFileSpans(spans, file({}), run, 6_500);
    expect(told).toMatchObject([
      { name: "spawn", parentId: runSpan, startMs: 6_000, endMs: 6_400 },
      { name: "publish", parentId: runSpan, startMs: 6_400, endMs: 6_500 },
    ]);
    expect(told[0]).not.toHaveProperty("error");
  });

  test("are told of the first hundred files of a run, and of each that failed", () => {
    const { told, spans } = recording();
    tellFileSpans(spans, file({ index: 100 }), run, 6_500);
    expect(told).toEqual([]);
    const failed = {
      index: 100,
      outcome: "failed",
      failureClass: "exit",
      message: "exit code 7",
      exitCode: 7,
    } as const;
    tellFileSpans(spans, file(failed), run, 6_500);
    expect(told[0]).toMatchObject({ error: "exit: exit code 7", attributes: { "process.exit.code": 7 } });
  });
});

test("the span of a run has the id that its processes are told, and not that of a run within a flow", () => {
  const { told, spans } = recording();
  tellRunSpan(spans, run, "failed", 9_000);
  expect(told).toMatchObject([
    { name: "run", spanId: runSpan, startMs: 1_000, endMs: 9_000, error: "the run ended as failed" },
  ]);
  const within = { ...run, spec: { ...run.spec, parent: { runId: "r0", epoch: 0, path: "a" } } };
  tellRunSpan(spans, within, "succeeded", 9_000);
  expect(told).toHaveLength(1);
});
