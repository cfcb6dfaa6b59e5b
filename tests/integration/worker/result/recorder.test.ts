/** Rows of a chunk over a real store and a real Redis: written in batches, counted once they are there, told to the log. */
import { expect } from "vitest";
import { keys } from "../../../../src/contract/queues.ts";
import type { FileEntry, FileResult } from "../../../../src/contract/files.ts";
import { createLogger } from "../../../../src/platform/logger.ts";
import { newTraceId, withTrace } from "../../../../src/platform/trace.ts";
import { lockToken } from "../../../../src/worker/lane-token.ts";
import { Fence } from "../../../../src/worker/result/fence.ts";
import { Recorder, type RecorderDeps } from "../../../../src/worker/result/recorder.ts";
import { beat, failedFile, ranFile, testSpec, testWorker } from "../../../support/board-fixture.ts";
import { test } from "../../../support/redis.ts";
import { openScheduler, type SchedulerFixture } from "../../../support/scheduler-fixture.ts";

const run = { runId: "r", spec: testSpec(), epoch: 0, state: "running", createdAtMs: 1 } as const;

async function begin(fixture: SchedulerFixture): Promise<void> {
  await fixture.store.runs.create({ id: run.runId, spec: run.spec, createdAtMs: 1 });
  await fixture.deps().hash.create(run);
}

function recorderOf(
  fixture: SchedulerFixture,
  change: Partial<Pick<RecorderDeps, "store" | "logger">> = {},
  files: readonly FileEntry[] = [],
): Recorder {
  const { redis, kp, hash, clock, logger, queues, store } = fixture.deps();
  const none = () => undefined;
  const token = lockToken({ workerId: "w", startedAtMs: 1 }, 2, 1);
  return new Recorder(
    {
      ...{ redis, kp, hash, clock, logger, queues, store, random: () => 0, expectedBytes: () => 0 },
      ...{ runs: { ensureRow: () => Promise.resolve() }, onOutcome: none, onRetry: none, onFenced: none },
      ...change,
    },
    run,
    {
      fence: new Fence(redis, kp, { queue: "exec.default@1", jobId: "r.0.c0", token }),
      ...{ signal: new AbortController().signal, files, crashes: new Map() },
    },
  );
}

test("rows go to the store 500 at a time, or those of a fifth of a second", async ({ redis, prefix }) => {
  await using fixture = await openScheduler(redis, prefix, "2026-01-01T00:00:00.000Z");
  await begin(fixture);
  const batches: number[] = [];
  const { files } = fixture.store;
  const told = Object.assign(Object.create(files) as typeof files, {
    record: (runId: string, epoch: number, rows: readonly FileResult[]) => {
      batches.push(rows.length);
      return files.record(runId, epoch, rows);
    },
  });
  const recorder = recorderOf(fixture, { store: { ...fixture.store, files: told } });
  for (let at = 0; at < 1_200; at += 1) await recorder.add([ranFile(at, `f${at}`)]);
  expect(batches).toEqual([500, 500]);
  fixture.clock.set("2026-01-01T00:00:00.200Z");
  await recorder.add([ranFile(1_200, "late")]);
  expect(batches).toEqual([500, 500, 201]);
  await recorder.flush();
  expect(batches).toHaveLength(3);
  expect(await files.counts("r", 0)).toMatchObject({ total: 1_201, succeeded: 1_201 });
  expect(await redis.hget(keys.run(fixture.kp, "r"), "succeeded")).toBe("1201");
});

test("a binary that no live worker has is given up after six starts and 10 s without it, one that another may have is not", async ({
  redis,
  prefix,
}) => {
  await using fixture = await openScheduler(redis, prefix, "2026-01-01T00:00:00.000Z");
  await begin(fixture);
  const atMs = fixture.clock.nowMs();
  const workers = async (...ids: readonly string[]) => {
    for (const workerId of ids) await beat(redis, prefix, testWorker({ workerId, atMs }));
  };
  /** The entry of a file that was started so often without its binary, and first so long ago. */
  const missed = (starts: number, agoMs = 12_000): FileEntry => {
    const missing = { starts, sinceMs: fixture.clock.nowMs() - agoMs };
    return { index: 0, path: "f", bytes: 1, tries: { infrastructure: starts }, missing };
  };
  /** What becomes of it after its next start, on this worker. */
  const next = async (workerId: string, entry: FileEntry, missingBinary: string | null = "/opt/tool", more = {}) => {
    const recorder = recorderOf(fixture, {}, [entry]);
    const failure = { outcome: "failed", failureClass: "infrastructure", message: "found none" } as const;
    const result = { ...ranFile(0, "f", { ...failure, workerId }), ...more };
    await recorder.add([missingBinary === null ? result : { ...result, missingBinary }]);
    await recorder.flush();
    return recorder.retries[0]?.entry;
  };
  const fail = async (workerId: string, startsBefore: number, missingBinary?: string) =>
    (await next(workerId, missed(startsBefore), missingBinary)) === undefined ? "given up" : "again";
  await workers("a");
  await beat(redis, prefix, testWorker({ workerId: "leaves", atMs, state: "draining" }));
  expect(await fail("a", 4)).toBe("again");
  expect(await fail("a", 5)).toBe("given up");
  const [row] = await fixture.store.files.get("r", ["f"]);
  expect(row?.message).toBe("found none; no live worker has it");
  const since = { starts: 6, sinceMs: atMs - 9_999 };
  expect((await next("a", missed(5, 9_999)))?.missing).toEqual(since);
  // Starts that failed otherwise say nothing of the binary, and one that found it begins the count anew.
  const other: FileEntry = { index: 0, path: "f", bytes: 1, tries: { infrastructure: 5 } };
  expect((await next("a", other))?.missing).toEqual({ starts: 1, sinceMs: atMs });
  expect((await next("a", missed(5), null))?.missing).toBeUndefined();
  expect(await next("a", missed(5), null, { roomBytes: 1 })).toMatchObject({ roomBytes: 1, missing: undefined });
  await workers("b");
  expect(await fail("a", 5)).toBe("again");
  expect(await fail("b", 1, "/opt/other")).toBe("again");
  expect(await fail("a", 6)).toBe("again");
  expect(await fail("b", 7)).toBe("given up");
  fixture.clock.set("2026-01-01T00:01:01.000Z");
  await beat(redis, prefix, testWorker({ workerId: "a", atMs: fixture.clock.nowMs() }));
  await beat(redis, prefix, testWorker({ workerId: "b", atMs: fixture.clock.nowMs() }));
  expect(await fail("a", 8)).toBe("again");
});

test("what a process said is in the log at debug when its file succeeded, and at info when it failed", async ({
  redis,
  prefix,
}) => {
  await using fixture = await openScheduler(redis, prefix, "2026-01-01T00:00:00.000Z");
  await begin(fixture);
  const traceId = newTraceId();
  /** The lines of a log of this level. */
  const linesAt = async (level: "debug" | "info") => {
    const texts: string[] = [];
    const logger = createLogger(level, {}, { write: (text: string) => texts.push(text) });
    const recorder = recorderOf(fixture, { logger });
    const results = [ranFile(0, "a", { log: "read 3 frames\n" }), ranFile(1, "b"), failedFile(2, "c", "no", "bad\n")];
    await withTrace(traceId, () => recorder.add(results));
    return texts.map((text) => JSON.parse(text) as Record<string, unknown>);
  };
  const ended = { msg: "file ended", traceId, runId: "r" };
  const failed = { ...ended, level: "info", path: "c", said: "bad\n" };
  expect(await linesAt("info")).toMatchObject([failed]);
  const lines = await linesAt("debug");
  expect(lines).toMatchObject([
    { ...ended, level: "debug", path: "a", said: "read 3 frames\n" },
    { ...ended, level: "debug", path: "b" },
    failed,
  ]);
  expect(lines[1]).not.toHaveProperty("said");
});
