/** Rows of a chunk over a real store and a real Redis: written in batches, and counted once they are there. */
import { expect } from "vitest";
import { keys } from "../../../../src/contract/queues.ts";
import type { FileResult } from "../../../../src/contract/files.ts";
import { lockToken } from "../../../../src/worker/lane-token.ts";
import { Fence } from "../../../../src/worker/result/fence.ts";
import { Recorder } from "../../../../src/worker/result/recorder.ts";
import { ranFile, testSpec } from "../../../support/board-fixture.ts";
import { test } from "../../../support/redis.ts";
import { openScheduler } from "../../../support/scheduler-fixture.ts";

test("rows go to the store 500 at a time, or those of a fifth of a second", async ({ redis, prefix }) => {
  await using fixture = await openScheduler(redis, prefix, "2026-01-01T00:00:00.000Z");
  const { kp, hash, clock, logger } = { ...fixture.deps() };
  const run = { runId: "r", spec: testSpec(), epoch: 0, state: "running", createdAtMs: 1 } as const;
  await fixture.store.runs.create({ id: run.runId, spec: run.spec, createdAtMs: 1 });
  await hash.create(run);
  const batches: number[] = [];
  const { files } = fixture.store;
  const told = Object.assign(Object.create(files) as typeof files, {
    record: (runId: string, epoch: number, rows: readonly FileResult[]) => {
      batches.push(rows.length);
      return files.record(runId, epoch, rows);
    },
  });
  const token = lockToken({ workerId: "w", startedAtMs: 1 }, 2, 1);
  const none = () => undefined;
  const recorder = new Recorder(
    {
      ...{ redis, kp, hash, clock, logger, random: () => 0, expectedBytes: () => 0 },
      ...{ store: { ...fixture.store, files: told }, runs: { ensureRow: () => Promise.resolve() } },
      ...{ onOutcome: none, onRetry: none, onFenced: none },
    },
    run,
    {
      fence: new Fence(redis, kp, { queue: "exec.default@1", jobId: "r.0.c0", token }),
      ...{ signal: new AbortController().signal, files: [], crashes: new Map() },
    },
  );
  for (let at = 0; at < 1_200; at += 1) await recorder.add([ranFile(at, `f${at}`)]);
  expect(batches).toEqual([500, 500]);
  fixture.clock.set("2026-01-01T00:00:00.200Z");
  await recorder.add([ranFile(1_200, "late")]);
  expect(batches).toEqual([500, 500, 201]);
  await recorder.flush();
  expect(batches).toHaveLength(3);
  expect(await files.counts("r", 0)).toMatchObject({ total: 1_201, succeeded: 1_201 });
  expect(await redis.hget(keys.run(kp, "r"), "succeeded")).toBe("1201");
});
