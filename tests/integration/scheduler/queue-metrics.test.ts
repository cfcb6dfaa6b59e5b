import type { JobsOptions } from "bullmq";
import { expect } from "vitest";
import { defaultProfile } from "../../../src/contract/profiles.ts";
import { MiB } from "../../../src/contract/resources.ts";
import { placeOf } from "../../../src/platform/job-queues.ts";
import { collectQueueMetrics } from "../../../src/scheduler/queue-metrics.ts";
import { test } from "../../support/redis.ts";
import { openScheduler } from "../../support/scheduler-fixture.ts";

const place = placeOf("exec", "default", defaultProfile, 128 * MiB);

test("tell how deep a queue is and how old its oldest job, by state", async ({ redis, prefix }) => {
  await using fixture = await openScheduler(redis, prefix, "2026-01-01T00:10:00Z");
  const deps = fixture.deps();
  await deps.queues.announce(place);
  const queue = deps.queues.queue(place.name);
  const add = async (ageSeconds: number, opts: JobsOptions = {}) => {
    await queue.add("exec", { runId: "r" }, { ...opts, timestamp: deps.clock.nowMs() - ageSeconds * 1_000 });
  };
  const figures = async () => {
    await collectQueueMetrics(deps);
    const lines = (await deps.metrics.expose()).split("\n").filter((line) => line.includes(place.name));
    const of = (metric: string, state: string) =>
      Number(
        lines
          .find((line) => line.startsWith(`${metric}{`) && line.includes(`state="${state}"`))
          ?.split(" ")
          .at(-1),
      );
    const states = ["waiting", "prioritized", "delayed", "active"];
    return states.map((state) => [of("headroom_queue_jobs", state), of("headroom_queue_oldest_age_seconds", state)]);
  };
  for (const age of [300, 60, 5]) await add(age);
  // The one that is next is new; the old one waits behind it, as long as such ones come.
  for (const [age, priority] of [
    [500, 9],
    [400, 9],
    [20, 1],
    [30, 2_000_000],
  ] as const) {
    await add(age, { priority });
  }
  await add(7, { delay: 3_600_000 });
  expect(await figures()).toEqual([
    [3, 300],
    [4, 500],
    [1, 7],
    [0, 0],
  ]);
  await queue.drain(true);
  expect(await figures()).toEqual(Array(4).fill([0, 0]));
  await deps.queues.close();
});
