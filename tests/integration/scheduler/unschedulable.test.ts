/** A run that no live worker can ever take: told when it is asked for, and ended with the worker that comes nearest. */
import type { Redis } from "ioredis";
import { describe, expect } from "vitest";
import { GiB, MiB } from "../../../src/contract/resources.ts";
import { keyPrefix, keys } from "../../../src/contract/queues.ts";
import type { WaitingQueue, WorkerHeartbeat } from "../../../src/contract/status.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { explain } from "../../../src/platform/explain.ts";
import { JobQueues } from "../../../src/platform/job-queues.ts";
import { RunHash } from "../../../src/platform/run-hash.ts";
import { startedRun } from "../../../src/producer/responses.ts";
import { endUnschedulable, UNSCHEDULABLE_GRACE_MS } from "../../../src/scheduler/unschedulable.ts";
import { startIntake } from "../../support/intake-fixture.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { deletePrefix, test } from "../../support/redis.ts";

/** A worker that takes jobs of so much, and what it leaves. */
async function beat(
  to: { redis: Redis; kp: string },
  workerId: string,
  most: number,
  { queue, ...own }: Partial<WorkerHeartbeat> & { readonly queue?: string | undefined } = {},
): Promise<void> {
  const { redis, kp } = to;
  const nowMs = systemClock.nowMs();
  const amounts = { memoryBytes: most, cpuCores: 4, processes: 4 };
  const refused: WaitingQueue = {
    ...{ queue: queue ?? "", code: "UNSCHEDULABLE", message: `may use ${most / MiB} MiB at most` },
    ...{ sinceMs: nowMs - UNSCHEDULABLE_GRACE_MS, etaMs: null, need: 1_024 * GiB, have: most },
  };
  const heartbeat: WorkerHeartbeat = {
    ...{ workerId, host: "h1", pid: 1, startedAtMs: 0, atMs: nowMs, state: "working", labels: [] },
    ...{ capacity: amounts, reserved: {}, observed: {}, headroom: amounts, largestJobBytes: most },
    ...{ running: [], waiting: queue === undefined ? [] : [refused], keepsRoomFor: null, ...own },
  };
  await redis.sadd(keys.workers(kp), workerId);
  await redis.hset(keys.worker(kp, workerId), "json", JSON.stringify(heartbeat));
}

describe("a run that no live worker can ever take", () => {
  test("is told at once with the nearest worker, and ends with that one's reason", async ({ redis, prefix }) => {
    const to = { redis, kp: keyPrefix(prefix) };
    await using intake = await startIntake({ redis, prefix });
    const sizes = [
      ["small-1", GiB],
      ["large", 4 * GiB],
      ["small-2", 2 * GiB],
    ] as const;
    for (const [workerId, most] of sizes) await beat(to, workerId, most);
    const ask = async (memoryBytes: number) => {
      const answer = await intake.post({
        command: ["/bin/cat", "{input}"],
        input: { kind: "list", root: intake.folder, paths: ["a"] },
        output: { root: `${intake.folder}/out-${memoryBytes}`, from: "stdout" },
        resources: { memoryBytes },
      });
      expect(answer.status).toBe(201);
      return startedRun.parse(await answer.json());
    };
    expect((await ask(3 * GiB)).warnings).toEqual([]);
    const run = await ask(1_024 * GiB);
    expect(run.warnings).toEqual([
      "profile default, memory: expected what a live worker takes; worker large, which comes nearest, takes 4096 MiB at most, " +
        "found 1048576 MiB",
    ]);
    const { kp } = to;
    const queues = new JobQueues(redis, kp);
    const queue = (await queues.list()).find(({ name }) => name.startsWith("exec.default@4"))?.name ?? "none";
    for (const [workerId, most] of sizes) await beat(to, workerId, most, { queue });
    const deps = { redis, kp, queues, hash: new RunHash(redis, kp), logger: quietLogger };
    expect(await endUnschedulable(deps, systemClock.nowMs())).toBe(1);
    expect(await redis.hgetall(keys.run(kp, run.id))).toMatchObject({
      state: "cancelling",
      message: "no worker can take its jobs; the nearest, worker large: may use 4096 MiB at most",
    });
    await queues.close();
    await deletePrefix(redis, prefix);
  });

  test("for the memory of its card is told at once, and ends without another of the same profile", async ({
    redis,
    prefix,
  }) => {
    const to = { redis, kp: keyPrefix(prefix) };
    await using intake = await startIntake({ redis, prefix });
    const own = { labels: ["gpu"], largestCardBytes: 24 * GiB };
    await beat(to, "cards", 8 * GiB, own);
    const ask = async (gpuMemoryBytes: number) => {
      const answer = await intake.post({
        command: ["/bin/cat", "{input}"],
        input: { kind: "list", root: intake.folder, paths: ["a"] },
        output: { root: `${intake.folder}/out-${gpuMemoryBytes}`, from: "stdout" },
        resources: { labels: ["gpu"], gpuMemoryBytes },
      });
      expect(answer.status).toBe(201);
      return startedRun.parse(await answer.json());
    };
    const fitting = await ask(20 * GiB);
    expect(fitting.warnings).toEqual([]);
    const run = await ask(40 * GiB);
    expect(run.warnings).toEqual([
      "profile default, gpu_memory: expected what a card of a live worker has; worker cards, which comes nearest, " +
        "has cards of 24576 MiB at most, found 40960 MiB",
    ]);
    const { kp } = to;
    const queues = new JobQueues(redis, kp);
    const places = await queues.list();
    const queue = places.find(({ spec }) => spec.gpuMemoryBytes === 40 * GiB)?.name ?? "none";
    const findRun = (runId: string) => intake.client.status(runId);
    const told = await explain({ redis, prefix: kp, queues, clock: systemClock, findRun }, run.id);
    expect(told.reasons.find(({ code }) => code === "UNSCHEDULABLE")).toMatchObject({
      ...{ where: `queue ${queue}`, need: 40 * GiB, have: 24 * GiB },
    });
    await beat(to, "cards", 8 * GiB, { ...own, queue });
    const deps = { redis, kp, queues, hash: new RunHash(redis, kp), logger: quietLogger };
    expect(await endUnschedulable(deps, systemClock.nowMs())).toBe(1);
    expect(await redis.hget(keys.run(kp, run.id), "state")).toBe("cancelling");
    expect(await redis.hget(keys.run(kp, fitting.id), "state")).not.toBe("cancelling");
    await queues.close();
    await deletePrefix(redis, prefix);
  });
});
