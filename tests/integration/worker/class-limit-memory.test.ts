/** What was found of kinds that mostly wait outlives the worker that found it. */
import { expect } from "vitest";
import { keyPrefix, keys } from "../../../src/contract/queues.ts";
import { dropClasses } from "../../../src/platform/learned/learned-archive.ts";
import { ClassLimitMemory } from "../../../src/worker/class-limit-memory.ts";
import { ClassLimits } from "../../../src/worker/governor/class-limits.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { test } from "../../support/redis.ts";

const KIND = `curl:${"0".repeat(64)}`;
const QUEUE = "exec.curl@12";

/** Jobs of 300 ms that end while so many of them run. */
function serve(limits: ClassLimits, seconds: number): void {
  for (let ms = 0; ms < 1_000 * seconds; ms += 100) {
    const running = limits.all.get(KIND)?.limit ?? 4;
    // No more than 8 at a time are served: more of them take longer.
    const tookMs = 300 * Math.max(1, running / 8);
    const jobs = Array.from({ length: running }, () => ({ queue: QUEUE, kind: KIND }));
    limits.noteRunning(jobs, ms, 2);
    for (let at = 0; at < Math.min(8, running) / 3; at += 1) {
      limits.noteEnd({ queue: QUEUE, kind: KIND, ms: tookMs, cpuMs: 5, work: 1 }, 2);
    }
  }
}

test("the next worker of a machine begins with it, another machine does not, and reset forgets it", async ({
  redis,
  prefix,
}) => {
  const kp = keyPrefix(prefix);
  const start = async (host: string) => {
    const limits = new ClassLimits();
    const memory = new ClassLimitMemory({ redis, kp, logger: quietLogger, host, limits });
    await memory.start();
    return { limits, memory };
  };
  const first = await start("node-1");
  serve(first.limits, 60);
  const [found] = first.limits.found;
  expect(found?.limit).toBeGreaterThanOrEqual(6);
  expect(found?.limit).toBeLessThanOrEqual(10);
  await first.memory.stop();

  const next = await start("node-1");
  expect(next.limits.all.get(KIND)).toMatchObject({ limit: found?.limit, profile: "exec.curl", isAlone: true });
  serve(next.limits, 60);
  expect(next.limits.found[0]?.limit).toBeGreaterThanOrEqual(6);
  await next.memory.stop();
  const other = await start("node-2");
  expect(other.limits.all.size).toBe(0);
  await other.memory.stop();

  await redis.hset(keys.classLimits(kp), "newer:1|node-1", '{"v":2}', "broken|node-1", "{");
  await dropClasses(redis, kp, [KIND]);
  const last = await start("node-1");
  expect(last.limits.all.size).toBe(0);
  await last.memory.stop();
  await redis.del(keys.classLimits(kp));
});

test("a number that does not fit any more is left soon", () => {
  const limits = new ClassLimits();
  limits.recall({ kind: KIND, profile: "exec.curl", limit: 30, cores: 0.02 });
  serve(limits, 120);
  expect(limits.all.get(KIND)?.limit).toBeLessThan(20);
});
