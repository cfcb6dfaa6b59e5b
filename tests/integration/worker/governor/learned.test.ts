import { expect } from "vitest";
import { keyPrefix } from "../../../../src/contract/queues.ts";
import { MiB } from "../../../../src/contract/resources.ts";
import type { Clock } from "../../../../src/platform/clock.ts";
import { systemClock } from "../../../../src/platform/clock.ts";
import { LearnedDemands, learnedKey } from "../../../../src/worker/governor/learned.ts";
import { keepingLogger, quietLogger } from "../../../support/quiet-logger.ts";
import { deletePrefix, test } from "../../../support/redis.ts";

const key = learnedKey("default", "ab".repeat(32));

test("workers share what they learn, without losing any of it", async ({ redis, prefix }) => {
  const deps = { redis, prefix: keyPrefix(prefix), clock: systemClock, logger: quietLogger };
  const workers = [new LearnedDemands(deps), new LearnedDemands(deps)];
  for (const worker of workers) {
    for (let file = 0; file < 95; file += 1) worker.record(key, { durationMs: 10, peakBytes: 100 * MiB });
    for (let file = 0; file < 5; file += 1) worker.record(key, { durationMs: 30, peakBytes: 400 * MiB });
  }
  await Promise.all(workers.map((worker) => worker.stop()));
  const learned = await new LearnedDemands(deps).load(key);
  expect(learned).toMatchObject({ n: 200, durationMsPerFile: 11, maxPeakBytes: 400 * MiB });
  expect(learned?.peakBytes).toBeGreaterThanOrEqual(100 * MiB);
  expect(learned?.peakBytes).toBeLessThan(106 * MiB);
  await deletePrefix(redis, prefix);
});

test("what was long ago fades", async ({ redis, prefix }) => {
  const demands = new LearnedDemands({ redis, prefix: keyPrefix(prefix), clock: systemClock, logger: quietLogger });
  for (const [peak, durationMs] of [
    [800, 100],
    [50, 10],
  ] as const) {
    for (let round = 0; round < 12; round += 1) {
      for (let file = 0; file < 1_000; file += 1) demands.record(key, { durationMs, peakBytes: peak * MiB });
      await demands.flush();
    }
  }
  const learned = await demands.load(key);
  expect(learned?.peakBytes).toBeLessThan(55 * MiB);
  expect(learned?.durationMsPerFile).toBeLessThan(12);
  await deletePrefix(redis, prefix);
});

test("reads again after five seconds, and not before", async ({ redis, prefix }) => {
  let nowMs = 0;
  const clock: Clock = { ...systemClock, monotonicMs: () => nowMs };
  const demands = new LearnedDemands({ redis, prefix: keyPrefix(prefix), clock, logger: quietLogger });
  expect(await demands.load(key)).toBeUndefined();
  demands.record(key, { durationMs: 1, peakBytes: MiB });
  await demands.flush();
  nowMs = 4_999;
  expect(await demands.load(key)).toBeUndefined();
  nowMs = 5_000;
  expect(await demands.load(key)).toMatchObject({ n: 1 });
  await deletePrefix(redis, prefix);
});

test("leaves out figures that are no numbers, and drops what redis does not take", async ({ redis, prefix }) => {
  const { logger, lines } = keepingLogger();
  const demands = new LearnedDemands({ redis, prefix: keyPrefix(prefix), clock: systemClock, logger });
  demands.record(key, { durationMs: Number.NaN, peakBytes: 1 });
  await demands.flush();
  expect(await redis.exists(`${keyPrefix(prefix)}:learned:${key}`)).toBe(0);
  await redis.set(`${keyPrefix(prefix)}:learned:${key}`, "not a hash");
  demands.record(key, { durationMs: 1, peakBytes: 1 });
  await demands.flush();
  expect(lines()).toMatchObject([{ msg: "learned figures could not be stored and are dropped", files: 1 }]);
  await expect(demands.load(key)).rejects.toThrow(/WRONGTYPE/);
  await deletePrefix(redis, prefix);
});
