import { expect, test } from "vitest";
import { systemClock } from "../../../src/platform/clock.ts";
import { openRedis } from "../../../src/platform/redis.ts";
import { PullLoop } from "../../../src/worker/pull-loop.ts";
import { quietLogger } from "../../support/quiet-logger.ts";

test("the last claim has no age before the first one", () => {
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
  expect(loop.ages).toEqual({ pullMs: 5_000, claimMs: 0 });
});
