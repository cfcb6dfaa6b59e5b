/** Rows for the tests of the store. */
import type { AttemptRecord, FileResult } from "../../../src/contract/files.ts";
import type { RunReport } from "../../../src/contract/run-record.ts";
import { runSpec, type RunSpec } from "../../../src/contract/run-spec.ts";
import type { Store, StoreLogger } from "../../../src/store/store.ts";

export const quiet: StoreLogger = { warn: () => undefined };

export function specOf(change: Partial<RunSpec> = {}): RunSpec {
  const spec = runSpec.parse({
    command: ["/bin/true", "{input}"],
    input: { kind: "tree", root: "/in" },
    output: { root: "/out", from: "stdout" },
  });
  return { ...spec, ...change };
}

export function resultOf(path: string, change: Partial<FileResult> = {}): FileResult {
  return {
    index: 0,
    path,
    outcome: "succeeded",
    failureClass: null,
    message: null,
    exitCode: 0,
    signal: null,
    attempts: 1,
    startedAtMs: 1_700_000_000_000.5,
    durationMs: 12.25,
    cpuMs: 3.5,
    peakBytes: 4_096_000,
    inputBytes: 100,
    inputSha256: "a".repeat(64),
    binarySha256: "b".repeat(64),
    argsSha256: "c".repeat(64),
    outputPath: `${path}.output`,
    outputBytes: 65,
    outputSha256: "d".repeat(64),
    log: null,
    workerId: "worker-1",
    ...change,
  };
}

export function failedOf(path: string, change: Partial<FileResult> = {}): FileResult {
  return resultOf(path, {
    outcome: "failed",
    failureClass: "exit",
    message: "expected exit code 0, found 1",
    exitCode: 1,
    outputPath: null,
    outputBytes: null,
    outputSha256: null,
    ...change,
  });
}

export function attemptOf(path: string, change: Partial<AttemptRecord> = {}): AttemptRecord {
  return {
    path,
    end: "retried",
    failureClass: "exit",
    message: "expected exit code 0, found 1",
    attempt: 1,
    atMs: 1_700_000_000_000,
    durationMs: 5,
    workerId: "worker-1",
    outputSha256: null,
    ...change,
  };
}

export function reportOf(id: string): RunReport {
  const files = { total: 1, succeeded: 1, failed: 0, skipped: 0, cancelled: 0, quarantined: 0 };
  return {
    id,
    name: null,
    state: "succeeded",
    epoch: 0,
    command: ["/bin/true"],
    input: "/in",
    output: "/out",
    startedAtMs: 1,
    endedAtMs: 2,
    files,
    reused: 0,
    durationSeconds: 0.001,
    filesPerSecond: 1_000,
    durationMs: null,
    peakBytes: null,
    cpuSeconds: 0,
    inputBytes: 0,
    outputBytes: 0,
    retries: {},
    fenced: 0,
    failures: [
      { failureClass: "exit", message: "nul \0 and \udc80", files: 1, examples: ["a\0b\udcff"], log: "nul \0" },
    ],
    slowest: [],
    artifacts: { count: 0, bytes: 0, examples: [] },
  };
}

/** A queued run of this id. */
export async function addRun(store: Store, id: string, createdAtMs = 1): Promise<void> {
  await store.runs.create({ id, spec: specOf(), createdAtMs });
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** Names that tools trip over; all of them are different, and each must come back as it was. */
export const hostileNames = [
  "plain.txt",
  "with space.txt",
  " leading and trailing ",
  "-rf",
  "--output=/etc/passwd",
  "new\nline",
  "tab\tand\rreturn",
  "quote'double\"back`tick",
  "percent%under_score",
  "percent%underXscore",
  "back\\slash",
  "back\\x41slash",
  "back\\\\two",
  "\\",
  "\\u0000 as text",
  "\\x00 as text",
  "nul\0inside",
  "escape\u001b[31m",
  "delete\u007f",
  "latin1 \udce9 byte",
  "all bytes \udc80\udcff",
  "lone high \ud83d end",
  "lone low \ude00 end",
  "lone \udfff edge",
  "ünïcödé/日本語/🎉",
  "e\u0301 and \u00e9",
  "'; drop table runs; --",
  "$1 ? :name @p {input}",
  '[1,2]{"a":1}',
  "x".repeat(4_000),
];
