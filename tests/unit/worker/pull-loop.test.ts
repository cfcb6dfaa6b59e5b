import { expect, test } from "vitest";
import { systemClock } from "../../../src/platform/clock.ts";
import { openRedis } from "../../../src/platform/redis.ts";
import { PullLoop } from "../../../src/worker/pull-loop.ts";
import { quietLogger } from "../../support/quiet-logger.ts";

test("what is not waited for has no age: the last claim before the first one, an answer while the loop does not pull", async () => {
  // Connects with its first command: the loop is never started, so there is none.
  const redis = openRedis("redis://127.0.0.1:1", "blocking", quietLogger);
  let nowMs = 1_000;
  const loop = new PullLoop({
    blocking: redis,
    redis,
    clock: { ...systemClock, monotonicMs: () => nowMs },
    logger: quietLogger,
    workerId: "w",
    kp: "headroom",
    lanes: () => [],
    admissions: {
      admit: () => Promise.resolve({ kind: "wait" }),
      couldAdmit: () => false,
      isOrderWanted: () => false,
      inOrder: () => Promise.resolve([]),
    },
    onStuck: () => undefined,
  });
  nowMs += 5_000;
  expect(loop.ages).toEqual({ pullMs: 0, claimMs: 0 });
  await loop.start();
  nowMs += 5_000;
  expect(loop.ages).toEqual({ pullMs: 10_000, claimMs: 0 });
  const drained = loop.drain();
  expect(loop.ages.pullMs).toBe(0);
  loop.resume();
  nowMs += 1_000;
  expect(loop.ages.pullMs).toBe(1_000);
  await loop.stop();
  await drained;
});
