import { describe, expect } from "vitest";
import { NotFoundError } from "../../../src/contract/errors.ts";
import { jobIds, keyPrefix } from "../../../src/contract/queues.ts";
import { GiB } from "../../../src/contract/resources.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { explain } from "../../../src/platform/explain.ts";
import { closeRedis, openRedis } from "../../../src/platform/redis.ts";
import { execPlace, JobQueues, scanPlace } from "../../../src/platform/job-queues.ts";
import { beat, testSpec, testWorker } from "../../support/board-fixture.ts";
import { attempt, ExplainedCluster, files, ref } from "../../support/explained-cluster.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { startRedis } from "../../support/redis-server.ts";
import { test } from "../../support/redis.ts";

describe("explain", () => {
  const chunkId = jobIds.chunk("r1", 0, "1");

  test("a run that was stored but never enqueued says so", async ({ redis, prefix }) => {
    await using cluster = new ExplainedCluster(redis, prefix);
    expect(await cluster.codes()).toEqual(["not-submitted", "no-worker"]);
  });

  test("without workers, with the wrong labels, and behind a worker that defers", async ({ redis, prefix }) => {
    await using cluster = new ExplainedCluster(redis, prefix);
    cluster.spec = testSpec({ resources: { labels: ["gpu"] } });
    await cluster.queues.addRun(ref, cluster.spec, [{ chunk: "1", files }]);
    expect(await cluster.codes()).toEqual(["no-worker", "queued-behind"]);
    expect(await cluster.codes(chunkId)).toEqual(["no-worker", "queued-behind"]);
    await beat(redis, prefix, testWorker());
    const [reason] = (await cluster.explain(chunkId)).reasons;
    expect(reason).toMatchObject({ code: "no-worker-with-labels", need: "gpu", have: "ssd" });
    const queue = execPlace(cluster.spec).name;
    const waiting = [{ queue, code: "memory", message: "no room", sinceMs: 5, etaMs: 7, need: "2", have: "1" }];
    await beat(redis, prefix, testWorker({ labels: ["gpu", "ssd"], waiting }));
    expect((await cluster.explain(chunkId)).reasons[0]).toEqual({
      where: "worker node-1",
      code: "memory",
      message: "no room",
      sinceMs: 5,
      etaMs: 7,
      need: "2",
      have: "1",
    });
    expect(await cluster.codes()).toEqual(["memory", "queued-behind"]);
  });

  test("a worker, by its id or its host, tells what it leaves and why, before what it runs", async ({
    redis,
    prefix,
  }) => {
    await using cluster = new ExplainedCluster(redis, prefix);
    await cluster.queues.addRun(ref, cluster.spec, [{ chunk: "1", files }]);
    const queue = execPlace(cluster.spec).name;
    const waiting = [{ queue, code: "MEM_NOW", message: "no room", sinceMs: 5, etaMs: 7, need: 2, have: 1 }];
    const running = [
      { jobId: "r0.0.c1", runId: "r0", sinceMs: 9, reserved: {}, rssBytes: null, endsAtMs: null, enforced: null },
    ];
    await beat(redis, prefix, testWorker({ workerId: "w1", waiting, running }));
    const byId = await cluster.explain("w1");
    expect(byId.subject).toEqual({ kind: "worker", id: "w1" });
    expect(byId.reasons.map(({ code }) => code)).toEqual(["MEM_NOW", "running"]);
    expect((await cluster.explain("node-1")).reasons).toEqual(byId.reasons);
    const enforced = { state: "slowed", sinceMs: 8, message: "heat: …" } as const;
    await beat(redis, prefix, testWorker({ workerId: "w1", running: running.map((job) => ({ ...job, enforced })) }));
    expect((await cluster.explain("w1")).reasons.at(-1)?.message).toBe("runs 1 job; slowed: heat: …");
    await beat(redis, prefix, testWorker({ workerId: "w1" }));
    expect(await cluster.codes("w1")).toEqual(["idle"]);
    await beat(redis, prefix, testWorker({ workerId: "w1", atMs: Date.now() - 60_000 }));
    expect(await cluster.explain("w1")).toMatchObject({ state: "gone", reasons: [{ code: "no-worker" }] });
  });

  test("a worker without the labels of what waits says which ones", async ({ redis, prefix }) => {
    await using cluster = new ExplainedCluster(redis, prefix);
    cluster.spec = testSpec({ resources: { labels: ["gpu"] } });
    await cluster.queues.addRun(ref, cluster.spec, [{ chunk: "1", files }]);
    await beat(redis, prefix, testWorker({ workerId: "w1" }));
    const [reason] = (await cluster.explain("w1")).reasons;
    expect(reason).toMatchObject({ code: "no-worker-with-labels", need: "gpu", have: "ssd" });
  });

  test("a profile tells how its jobs stand, and the nearest worker to those that are too large for all", async ({
    redis,
    prefix,
  }) => {
    await using cluster = new ExplainedCluster(redis, prefix);
    cluster.spec = testSpec({ resources: { memoryBytes: 64 * GiB } });
    await cluster.queues.addRun(ref, cluster.spec, [{ chunk: "1", files, memoryBytes: 64 * GiB }]);
    const { profile } = cluster.spec;
    expect(await cluster.codes(profile)).toEqual(["no-worker", "queued-behind"]);
    await beat(redis, prefix, testWorker({ workerId: "small", largestJobBytes: 2 * GiB }));
    await beat(redis, prefix, testWorker({ workerId: "large", largestJobBytes: 14 * GiB }));
    const told = await cluster.explain(profile);
    expect(told).toMatchObject({ subject: { kind: "profile", id: profile }, state: "waiting" });
    expect(told.reasons[0]).toMatchObject({ code: "UNSCHEDULABLE", need: 64 * GiB, have: 14 * GiB });
    expect(told.reasons[0]?.message).toContain("the nearest one, large,");
  });

  test("a full redis is told in place of workers that cannot say that they live", async ({ prefix }) => {
    await using full = await startRedis({ args: ["--maxmemory", "512kb"] });
    const redis = openRedis(full.url, "command", quietLogger);
    const queues = new JobQueues(redis, keyPrefix(prefix));
    const findRun = () => Promise.resolve(new ExplainedCluster(redis, prefix).record());
    const deps = { redis, prefix: keyPrefix(prefix), queues, clock: systemClock, findRun };
    const codes = (await explain(deps, "r1")).reasons.map(({ code }) => code);
    expect(codes).toEqual(["redis-full", "not-submitted"]);
    await queues.close();
    await closeRedis(redis);
  });

  test("what is no run, job, worker or profile is not found", async ({ redis, prefix }) => {
    await using cluster = new ExplainedCluster(redis, prefix);
    await expect(cluster.explain("nobody")).rejects.toThrow("expected a known run, job, worker or profile, found no");
  });

  test("a worker whose heartbeat is old does not count", async ({ redis, prefix }) => {
    await using cluster = new ExplainedCluster(redis, prefix);
    await cluster.queues.addRun(ref, cluster.spec, [{ chunk: "1", files }]);
    await beat(redis, prefix, testWorker({ atMs: Date.now() - 60_000 }));
    await redis.sadd(`${keyPrefix(prefix)}:workers`, "half");
    await redis.hset(`${keyPrefix(prefix)}:worker:half`, { json: '{"workerId":' });
    expect(await cluster.codes(chunkId)).toEqual(["no-worker", "queued-behind"]);
  });

  test("paused queues, backoff with its time, and children that a parent waits for", async ({ redis, prefix }) => {
    await using cluster = new ExplainedCluster(redis, prefix);
    const atMs = Date.now();
    await cluster.queues.addRun(ref, cluster.spec, "scan");
    await beat(redis, prefix, testWorker());
    const scanId = jobIds.scan("r1", 0);
    await cluster.queues.queue(scanPlace.name).pause();
    expect(await cluster.codes(scanId)).toEqual(["queue-paused"]);
    expect((await cluster.explain(jobIds.report("r1", 0))).reasons[0]).toMatchObject({
      code: "waits-for-children",
      have: 1,
    });
    await cluster.queues.addChunks(ref, cluster.spec, [{ chunk: "1", files, delayMs: 60_000 }]);
    const [later] = (await cluster.explain(chunkId)).reasons;
    expect(later?.code).toBe("backoff");
    expect(later?.etaMs).toBeGreaterThan(50_000);
    expect(later?.etaMs).toBeLessThanOrEqual(60_000 + (Date.now() - atMs));
    expect(await cluster.codes()).toEqual(["queue-paused", "queued-behind", "backoff"]);
  });

  test("a paused queue of the profile in which nothing is holds no run back", async ({ redis, prefix }) => {
    await using cluster = new ExplainedCluster(redis, prefix);
    await beat(redis, prefix, testWorker());
    const larger = testSpec({ resources: { labels: [], memoryBytes: 1_024 ** 3 } });
    const other = execPlace(larger).name;
    expect(other).not.toBe(execPlace(cluster.spec).name);
    await cluster.queues.addRun({ ...ref, runId: "r2" }, larger, [{ chunk: "1", files }]);
    await cluster.queues.queue(other).pause();
    await cluster.queues.addRun(ref, cluster.spec, [{ chunk: "1", files }]);
    expect(await cluster.codes()).toContain("queue-paused");
    await cluster.queues.queue(other).remove("r2.0.c1");
    expect(await cluster.codes()).toEqual(["queued-behind"]);
  });

  test("a delayed job whose time has come waits for what the worker says, not for another try", async ({
    redis,
    prefix,
  }) => {
    await using cluster = new ExplainedCluster(redis, prefix);
    await cluster.queues.addRun(ref, cluster.spec, "scan");
    const queue = execPlace(cluster.spec).name;
    await cluster.queues.addChunks(ref, cluster.spec, [
      { chunk: "1", files, delayMs: 1 },
      { chunk: "2", files, delayMs: 60_000 },
    ]);
    const atMs = Date.now();
    await expect.poll(() => Date.now()).toBeGreaterThan(atMs + 1);
    const waiting = [
      { queue, code: "MEM_RESERVED", message: "no room", sinceMs: 5, etaMs: 7, need: "2", have: "1" } as const,
    ];
    await beat(redis, prefix, testWorker({ waiting }));
    const { state, reasons } = await cluster.explain(chunkId);
    expect(state).toBe("waiting");
    expect(reasons).toMatchObject([{ code: "MEM_RESERVED" }, { code: "queued-behind", need: 1 }]);
    const [head, behind, later] = (await cluster.explain()).reasons;
    expect([head?.code, behind?.code, later?.code]).toEqual(["MEM_RESERVED", "queued-behind", "backoff"]);
    expect(behind?.message).toBe("1 job waiting, 0 jobs running");
    expect(later?.message).toMatch(/^1 job waiting for another try; /);
    expect(later?.etaMs).toBeGreaterThan(50_000);
  });

  test("a file that is tried again says how it ended before", async ({ redis, prefix }) => {
    await using cluster = new ExplainedCluster(redis, prefix);
    const message = "no space left where the output goes";
    cluster.attempts = [attempt("retried", message), attempt("fenced", "too late")];
    await cluster.queues.addRun(ref, cluster.spec, "scan");
    await cluster.queues.addChunks(ref, cluster.spec, [{ chunk: "1", files, delayMs: 60_000 }]);
    await beat(redis, prefix, testWorker());
    for (const id of ["r1", chunkId]) {
      const [reason] = (await cluster.explain(id)).reasons;
      expect(reason?.message).toMatch(/another try until .* after infrastructure of a: no space left where/);
    }
  });

  test("running, cancelling and ended runs", async ({ redis, prefix }) => {
    await using cluster = new ExplainedCluster(redis, prefix);
    await cluster.queues.addRun(ref, cluster.spec, [{ chunk: "1", files }]);
    const running = [
      { jobId: chunkId, runId: "r1", sinceMs: 9, reserved: {}, rssBytes: null, endsAtMs: null, enforced: null },
    ];
    await beat(redis, prefix, testWorker({ running }));
    expect((await cluster.explain()).reasons[0]).toMatchObject({ code: "running", where: "worker node-1", sinceMs: 9 });
    cluster.state = "cancelling";
    expect((await cluster.explain()).reasons).toMatchObject([{ code: "cancelling", have: 1 }]);
    cluster.state = "broken";
    const { state, reasons } = await cluster.explain();
    expect(state).toBe("broken");
    expect(reasons).toMatchObject([
      { code: "ended", message: "the run ended as broken: no space left", sinceMs: 2_000 },
    ]);
  });

  test("ids that are no run and no job are not found", async ({ redis, prefix }) => {
    await using cluster = new ExplainedCluster(redis, prefix);
    for (const id of ["nope", "r1.0.c9", "nope.0.scan"])
      await expect(cluster.explain(id)).rejects.toThrow(NotFoundError);
  });
});
