import { expect } from "vitest";
import { keyPrefix, keys } from "../../../../src/contract/queues.ts";
import { MiB } from "../../../../src/contract/resources.ts";
import { systemClock, type Clock } from "../../../../src/platform/clock.ts";
import { LearnedClasses } from "../../../../src/platform/learned/learned-classes.ts";
import { noteOf, retractionOf, type Note } from "../../../../src/platform/learned/note.ts";
import { keepingLogger, quietLogger } from "../../../support/quiet-logger.ts";
import { deletePrefix, test } from "../../../support/redis.ts";

const about = { key: `default:${"ab".repeat(32)}`, profile: "default", command: ["/bin/tool", "{input}"] };
const noteOfPeak = (peakMiB: number, gpuMiB?: number): Note =>
  noteOf(
    {
      ...{ kind: "ended", inputBytes: 10 * MiB, peakBytes: peakMiB * MiB, durationMs: 1_000, cpuMs: 800 },
      ...{ ioBytes: null, gpuBytes: gpuMiB === undefined ? null : gpuMiB * MiB, shape: null, weight: 1, jobs: 1 },
    },
    undefined,
    undefined,
  );

test("workers share what they learn, without losing any of it", async ({ redis, prefix }) => {
  const deps = { redis, prefix: keyPrefix(prefix), clock: systemClock, logger: quietLogger };
  const workers = [new LearnedClasses(deps), new LearnedClasses(deps)];
  for (const worker of workers) {
    for (let job = 0; job < 96; job += 1) worker.note(about, noteOfPeak(100));
    for (let job = 0; job < 4; job += 1) worker.note(about, noteOfPeak(400));
  }
  await Promise.all(workers.map((worker) => worker.stop()));
  const model = await new LearnedClasses(deps).load(about);
  expect(model?.samples).toBe(200);
  expect(model?.state).toMatchObject({ jobs: 200, name: { profile: "default", command: about.command } });
  const { p50, p95 } = model?.predict(10 * MiB)?.memoryBytes ?? { p50: 0, p95: 0 };
  expect(p50).toBeGreaterThanOrEqual(100 * MiB);
  expect(p95).toBeLessThan(111 * MiB);
  expect(await redis.zcard(keys.learnedClasses(keyPrefix(prefix)))).toBe(1);
  await deletePrefix(redis, prefix);
});

test("what was long ago fades, and its hash stays small", async ({ redis, prefix }) => {
  const classes = new LearnedClasses({ redis, prefix: keyPrefix(prefix), clock: systemClock, logger: quietLogger });
  for (const peak of [800, 50]) {
    for (let round = 0; round < 12; round += 1) {
      for (let job = 0; job < 200; job += 1) classes.note(about, noteOfPeak(peak));
      await classes.flush();
    }
  }
  await classes.refresh(about);
  const model = classes.peek(about);
  expect(model?.samples).toBeLessThanOrEqual(500);
  expect(model?.state.jobs).toBe(4_800);
  expect(model?.predict(10 * MiB)?.memoryBytes.p95).toBeLessThan(56 * MiB);
  expect(await redis.hlen(keys.learned(keyPrefix(prefix), about.key))).toBeLessThan(60);
  await deletePrefix(redis, prefix);
});

test("a note counts here at once, once, and can be taken back", async ({ redis, prefix }) => {
  const deps = { redis, prefix: keyPrefix(prefix), clock: systemClock, logger: quietLogger };
  const classes = new LearnedClasses(deps);
  await classes.load(about);
  const running = noteOfPeak(900);
  classes.note(about, running);
  expect(classes.peek(about)?.predict(MiB)?.memoryBytes.p95).toBeGreaterThanOrEqual(900 * MiB);
  await classes.refresh(about);
  expect(classes.peek(about)?.samples).toBe(1);
  classes.retract(about, retractionOf(running));
  classes.note(about, noteOfPeak(950));
  await classes.refresh(about);
  expect(classes.peek(about)?.samples).toBe(1);
  expect((await new LearnedClasses(deps).load(about))?.samples).toBe(1);
  await deletePrefix(redis, prefix);
});

test("reads again after a while, and not before", async ({ redis, prefix }) => {
  let nowMs = 0;
  const clock: Clock = { ...systemClock, monotonicMs: () => nowMs };
  const deps = { redis, prefix: keyPrefix(prefix), clock, logger: quietLogger };
  const [mine, other] = [new LearnedClasses(deps), new LearnedClasses(deps)];
  expect(await mine.load(about)).toBeUndefined();
  other.note(about, noteOfPeak(10));
  await other.flush();
  nowMs = 499;
  expect(mine.peek(about)).toBeUndefined();
  nowMs = 500;
  await expect.poll(() => mine.peek(about)?.samples).toBe(1);
  await deletePrefix(redis, prefix);
});

test("what is no state of a class is told once, set aside, and begun anew", async ({ redis, prefix }) => {
  const kp = keyPrefix(prefix);
  for (const put of [
    () => redis.set(keys.learned(kp, about.key), "not a hash"),
    () => redis.hset(keys.learned(kp, about.key), { v: "1", w: "nonsense" }),
    () => redis.hset(keys.learned(kp, about.key), { files: "12" }),
  ]) {
    await deletePrefix(redis, prefix);
    await put();
    const { logger, lines } = keepingLogger();
    const classes = new LearnedClasses({ redis, prefix: kp, clock: systemClock, logger });
    expect(await classes.load(about)).toBeUndefined();
    await classes.refresh(about);
    expect(lines().map((line) => line["msg"])).toEqual([
      "what was learned of a class cannot be read, it is set aside and begun anew",
    ]);
    expect(await redis.exists(keys.learnedAside(kp, about.key))).toBe(1);
    classes.note(about, noteOfPeak(10));
    await classes.refresh(about);
    expect(classes.peek(about)?.samples).toBe(1);
  }
  await deletePrefix(redis, prefix);
});

test("a field that is damaged between two reads does not stop the learning", async ({ redis, prefix }) => {
  const kp = keyPrefix(prefix);
  const classes = new LearnedClasses({ redis, prefix: kp, clock: systemClock, logger: quietLogger });
  classes.note(about, noteOfPeak(10));
  await classes.flush();
  await redis.hset(keys.learned(kp, about.key), "w", "broken");
  classes.note(about, noteOfPeak(10));
  await classes.flush();
  expect(await redis.hget(keys.learned(kp, about.key), "w")).toBe("1");
  expect(await redis.hget(keys.learnedAside(kp, about.key), "w")).toBe("broken");
  await deletePrefix(redis, prefix);
});

test("a newer version is left alone and counts as unknown", async ({ redis, prefix }) => {
  const kp = keyPrefix(prefix);
  const { logger, lines } = keepingLogger();
  const newer = { v: "3", something: "new" };
  await redis.hset(keys.learned(kp, about.key), newer);
  const classes = new LearnedClasses({ redis, prefix: kp, clock: systemClock, logger });
  expect(await classes.load(about)).toBeUndefined();
  classes.note(about, noteOfPeak(10));
  await classes.refresh(about);
  expect(await redis.hgetall(keys.learned(kp, about.key))).toEqual(newer);
  expect(lines()).toMatchObject([{ expected: 2, found: 3 }]);
  await deletePrefix(redis, prefix);
});

test("a drift leaves a little of the past to all workers", async ({ redis, prefix }) => {
  const kp = keyPrefix(prefix);
  const deps = { redis, prefix: kp, clock: systemClock, logger: quietLogger };
  const classes = new LearnedClasses(deps);
  for (let job = 0; job < 100; job += 1) classes.note(about, noteOfPeak(100));
  await classes.flush();
  const beyond = { ...noteOfPeak(200), recent: { ...noteOfPeak(200).recent, coverage: "beyond" as const } };
  const found = Array.from({ length: 7 }, () => classes.note(about, beyond));
  expect(found).toEqual([false, false, false, false, false, false, true]);
  await classes.flush();
  const model = await new LearnedClasses(deps).load(about);
  expect(model?.samples).toBeLessThan(12);
  expect(model?.state.drifts).toBe(1);
  expect(model?.predict(10 * MiB)?.memoryBytes.p95).toBeGreaterThanOrEqual(200 * MiB);
  await deletePrefix(redis, prefix);
});

test("a class of the first form is read as it is, and becomes one of the second with its first job on a GPU", async ({
  redis,
  prefix,
}) => {
  const kp = keyPrefix(prefix);
  const deps = { redis, prefix: kp, clock: systemClock, logger: quietLogger };
  const hashKey = keys.learned(kp, about.key);
  const before = new LearnedClasses(deps);
  for (let job = 0; job < 20; job += 1) before.note(about, noteOfPeak(100));
  await before.stop();
  expect(await redis.hget(hashKey, "v")).toBe("1");
  const worker = new LearnedClasses(deps);
  expect((await worker.load(about))?.predict(10 * MiB)?.gpuMemoryBytes).toBeUndefined();
  worker.note(about, noteOfPeak(100, 3_000));
  await worker.flush();
  worker.note(about, noteOfPeak(100));
  await worker.stop();
  expect(await redis.hget(hashKey, "v")).toBe("2");
  const model = await new LearnedClasses(deps).load(about);
  expect(model?.samples).toBe(22);
  expect(model?.gpuSamples).toBe(1);
  const { p50, p95 } = model?.predict(10 * MiB)?.gpuMemoryBytes ?? { p50: 0, p95: 0 };
  expect([p50 >= 3_000 * MiB, p95 < 4_000 * MiB]).toEqual([true, true]);
  await deletePrefix(redis, prefix);
});

test("after a drift no job counts as judged, those on a GPU neither", async ({ redis, prefix }) => {
  const kp = keyPrefix(prefix);
  const deps = { redis, prefix: kp, clock: systemClock, logger: quietLogger };
  const worker = new LearnedClasses(deps);
  const judged = (peakMiB: number, gpuMiB: number | undefined, coverage: "within" | "beyond"): Note => {
    const note = noteOfPeak(peakMiB, gpuMiB);
    return { ...note, recent: { ...note.recent, coverage } };
  };
  for (const gpuMiB of [500, undefined]) worker.note(about, judged(100, gpuMiB, "within"));
  await worker.flush();
  for (let job = 0; job < 7; job += 1) worker.note(about, judged(200, 900, "beyond"));
  await worker.flush();
  expect(await redis.hget(keys.learned(kp, about.key), "drifts")).toBe("1");
  const { recent } = (await new LearnedClasses(deps).load(about))?.state ?? { recent: [] };
  expect(recent.slice(0, 2).map(({ coverage, gpuBytes }) => [coverage, gpuBytes])).toEqual([
    ["open", 500 * MiB],
    ["open", undefined],
  ]);
  await worker.stop();
  await deletePrefix(redis, prefix);
});
