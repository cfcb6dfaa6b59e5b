/** The pull loop over markers in a real Redis. */
import { expect } from "vitest";
import { defaultProfile } from "../../../src/contract/profiles.ts";
import { keyPrefix } from "../../../src/contract/queues.ts";
import { MiB } from "../../../src/contract/resources.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { placeOf } from "../../../src/platform/job-queues.ts";
import { Metrics } from "../../../src/platform/metrics.ts";
import { closeRedis, openRedis } from "../../../src/platform/redis.ts";
import { Lane } from "../../../src/worker/lane.ts";
import { PullLoop } from "../../../src/worker/pull-loop.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { deletePrefix, test } from "../../support/redis.ts";

test("a marker of a queue in which nothing is left is taken, and not put back to be found again", async ({
  redis,
  redisUrl,
  prefix,
}) => {
  const kp = keyPrefix(prefix);
  const blocking = openRedis(redisUrl, "blocking", quietLogger);
  const metrics = new Metrics({ version: "0", process: "worker" }, quietLogger);
  const lane = new Lane(
    {
      ...{ redis, logger: quietLogger, metrics, worker: { workerId: "w", startedAtMs: 0 } },
      run: () => Promise.resolve(),
      onEnded: () => undefined,
    },
    { prefix: kp, lockMs: 10_000, stalledCheckMs: 5_000 },
    placeOf("exec", "default", defaultProfile, 128 * MiB),
  );
  let asked = 0;
  const loop = new PullLoop({
    ...{ redis, blocking, clock: systemClock, logger: quietLogger, workerId: "w", kp },
    lanes: () => [lane],
    admissions: {
      // As where the jobs themselves have to be looked at, and there are none.
      admit: () => {
        asked += 1;
        return Promise.resolve({ kind: "empty" });
      },
      couldAdmit: () => true,
      isOrderWanted: () => false,
      inOrder: (lanes) => Promise.resolve(lanes),
    },
    onStuck: () => undefined,
  });
  await lane.open();
  await loop.start();
  try {
    for (const [score, member] of [
      [0, "0"],
      [Date.now() + 60_000, "1"],
    ] as const) {
      const before = asked;
      await redis.zadd(lane.markerKey, score, member);
      await expect.poll(() => asked, { timeout: 10_000 }).toBeGreaterThan(before);
      await expect.poll(() => redis.zcard(lane.markerKey), { timeout: 10_000 }).toBe(0);
      // A loop that finds its own marker goes round once in a few of these.
      for (let calls = 0; calls < 500; calls += 1) await redis.ping();
      expect(await redis.zcard(lane.markerKey)).toBe(0);
      expect(asked - before).toBeLessThan(10);
    }
  } finally {
    await loop.stop();
    await lane.close();
    await closeRedis(blocking);
    await deletePrefix(redis, prefix);
  }
});
