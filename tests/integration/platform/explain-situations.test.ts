/**
 * Law 7 in the cluster: in each staged situation `explain` names the true reason first, of a run, a job, a worker, a host
 * or a profile, and names another one once that is gone.
 */
import { describe, expect } from "vitest";
import { closeRedis, openRedis } from "../../../src/platform/redis.ts";
import { ExplainedCluster } from "../../support/explained-cluster.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { startRedis } from "../../support/redis-server.ts";
import { test } from "../../support/redis.ts";
import { chunkId, holds, LONG_AGO_MS, waits, type ExplainedSituation } from "../../support/situations/explained.ts";
import { places } from "../../support/situations/explained-places.ts";
import { runs } from "../../support/situations/explained-runs.ts";

async function expectFirst(cluster: ExplainedCluster, situation: ExplainedSituation): Promise<void> {
  const { of, code, words, where, cause, undo, after } = situation;
  await cause(cluster);
  const [first] = (await cluster.explain(of)).reasons;
  expect(first).toMatchObject({ code, message: expect.stringMatching(words) as unknown });
  if (where !== undefined) expect(first?.where).toBe(where);
  await undo(cluster);
  const [next] = (await cluster.explain(of)).reasons;
  expect(next?.code).toBe(after);
  expect({ ...next, etaMs: null }).not.toEqual({ ...first, etaMs: null });
}

describe("the first reason that explain names is the true one", () => {
  for (const situation of [...runs, ...places]) {
    test(`${situation.code}: ${situation.name}`, async ({ redis, prefix }) => {
      await using cluster = new ExplainedCluster(redis, prefix);
      await expectFirst(cluster, situation);
    });
  }

  test("redis-full: redis takes no more, while the last heartbeats are still young", async ({ prefix }) => {
    await using server = await startRedis();
    const redis = openRedis(server.url, "command", quietLogger);
    const cluster = new ExplainedCluster(redis, prefix);
    await expectFirst(cluster, {
      ...{ name: "full", code: "redis-full", words: /^redis is \d+ % full and takes no more/, after: "MEM_NOW" },
      cause: async () => {
        await cluster.submit();
        await cluster.beat({ waiting: [waits(cluster.queue, "MEM_NOW", 5)] });
        await redis.config("SET", "maxmemory", "1mb");
      },
      undo: () => redis.config("SET", "maxmemory", "0"),
    });
    await cluster.queues.close();
    await closeRedis(redis);
  });
});

test("what is lost tells since when, and until when its locks hold", async ({ redis, prefix }) => {
  await using cluster = new ExplainedCluster(redis, prefix);
  await cluster.submit();
  await cluster.hold(cluster.queue, chunkId);
  const atMs = Date.now() - LONG_AGO_MS;
  await cluster.beat({ atMs, running: [holds(chunkId)] });
  for (const id of ["r1", chunkId]) {
    const [none, lost] = (await cluster.explain(id)).reasons;
    expect(none).toMatchObject({ code: "no-worker", sinceMs: atMs });
    expect(lost).toMatchObject({ code: "worker-lost", sinceMs: atMs });
    expect(lost?.etaMs).toBeGreaterThan(0);
    expect(lost?.etaMs).toBeLessThanOrEqual(30_000);
  }
});
