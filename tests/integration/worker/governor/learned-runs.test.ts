import { expect } from "vitest";
import { fileEntry } from "../../../../src/contract/files.ts";
import { bucketBytes, bucketOf, profileSchema } from "../../../../src/contract/profiles.ts";
import { keyPrefix } from "../../../../src/contract/queues.ts";
import { MiB } from "../../../../src/contract/resources.ts";
import type { RunAnomaly } from "../../../../src/contract/run-record.ts";
import { systemClock } from "../../../../src/platform/clock.ts";
import { classOf } from "../../../../src/platform/learned/class-key.ts";
import { LearnedClasses } from "../../../../src/platform/learned/learned-classes.ts";
import type { LiveRun } from "../../../../src/platform/run-hash.ts";
import type { ProcessMeasure } from "../../../../src/worker/executor/chunk-request.ts";
import { LearnedRuns, type LearnedListener } from "../../../../src/worker/governor/learned-runs.ts";
import { quietLogger } from "../../../support/quiet-logger.ts";
import { deletePrefix, test } from "../../../support/redis.ts";
import { seeded } from "../../../support/seeded.ts";
import { specOf } from "../../store/fixtures.ts";

const run: LiveRun = { runId: "a", spec: specOf(), epoch: 1, state: "running", createdAtMs: 0 };

function measureOf(index: number, change: Partial<ProcessMeasure> = {}): ProcessMeasure {
  return {
    ...{ end: "well", isAlone: false, path: `${index}.txt`, inputBytes: 1_000, durationMs: 5, cpuMs: 4 },
    ...{ peakBytes: 20 * MiB, ioBytes: null, shape: null },
    ...change,
  };
}

const silent: LearnedListener = {
  predicted: () => undefined,
  covered: () => undefined,
  anomaly: () => undefined,
  drifted: () => undefined,
};

test("a guess that no worker could admit is cut to what the largest one can, a declaration is not", async ({
  redis,
  prefix,
}) => {
  const classes = new LearnedClasses({
    ...{ redis, prefix: keyPrefix(prefix), clock: systemClock, logger: quietLogger },
  });
  const learned = new LearnedRuns(classes, silent);
  const ended = fileEntry.parse({ index: 0, path: "a", bytes: 1, endedAtBytes: 300 * MiB });
  expect(learned.chunkBytes(run, [ended], Infinity)).toBe(405 * MiB);
  expect(learned.chunkBytes(run, [ended], 600 * MiB)).toBe(405 * MiB);
  const cut = learned.chunkBytes(run, [ended], 430 * MiB);
  expect(bucketBytes(bucketOf(cut))).toBeLessThanOrEqual(430 * MiB);
  expect(cut).toBeGreaterThan(300 * MiB);
  const declares = { ...run, spec: specOf({ resources: profileSchema.parse({ memoryBytes: 900 * MiB }) }) };
  expect(learned.chunkBytes(declares, [ended], 430 * MiB)).toBe(900 * MiB);
  await classes.stop();
  await deletePrefix(redis, prefix);
});

test("of a known class of short processes one in eight is noted, for all; one that takes more is, at once", async ({
  redis,
  prefix,
}) => {
  const classes = new LearnedClasses({
    ...{ redis, prefix: keyPrefix(prefix), clock: systemClock, logger: quietLogger },
  });
  const anomalies: RunAnomaly[] = [];
  let predicted = 0;
  const learned = new LearnedRuns(classes, {
    ...silent,
    predicted: (_, { target }) => (predicted += target === "memory" ? 1 : 0),
    anomaly: (_, anomaly) => anomalies.push(anomaly),
  });
  await learned.ready(run);
  let index = 0;
  const learnMany = (jobs: number, change: Partial<ProcessMeasure> = {}) => {
    for (let job = 0; job < jobs; job += 1, index += 1) learned.learn(run, `job-${index}`, measureOf(index, change));
  };
  const known = () => classes.peek(classOf(run.spec))?.state.jobs;

  learnMany(250);
  await classes.flush();
  await classes.refresh(classOf(run.spec));
  expect(known()).toBe(250);
  const before = predicted;
  learnMany(800);
  expect(predicted - before).toBe(100);
  expect(known()).toBe(1_050);

  learnMany(3);
  learned.learn(run, "large", measureOf(index, { path: "large.txt", peakBytes: 200 * MiB }));
  expect(anomalies).toMatchObject([{ path: "large.txt" }]);
  expect(known()).toBe(1_054);

  const long = predicted;
  learnMany(10, { durationMs: 5_000 });
  expect(predicted - long).toBe(10);
  await classes.stop();
  await deletePrefix(redis, prefix);
});

test("one engine tells what all chunks of its model ask for, whatever their files are", async ({ redis, prefix }) => {
  const classes = new LearnedClasses({
    ...{ redis, prefix: keyPrefix(prefix), clock: systemClock, logger: quietLogger },
  });
  const learned = new LearnedRuns(classes, silent);
  const model: LiveRun = { ...run, spec: specOf({ executor: "infer", command: ["/models/kinds"] }) };
  const files = [1, 5_000_000].map((bytes, index) => fileEntry.parse({ index, path: `${index}`, bytes }));
  await learned.ready(model);
  expect(learned.isUnknown(model)).toBe(true);
  expect(learned.chunkBytes(model, files, Infinity)).toBe(128 * MiB);

  const sample = { ...{ chunkId: "c", pid: 7, inputBytes: null, elapsedMs: 0, cpuMs: 0, processes: 1 } };
  learned.observe(model, "c", { ...sample, rssBytes: 600 * MiB });
  expect(learned.isUnknown(model)).toBe(false);
  const asked = learned.chunkBytes(model, files, Infinity);
  expect(asked).toBeGreaterThanOrEqual(600 * MiB);
  // One says least of how far others are off: half as much again would be too much all the same.
  expect(asked).toBeLessThan(800 * MiB);
  // The same engine a little later says nothing new; one that has grown does.
  learned.observe(model, "c", { ...sample, rssBytes: 650 * MiB });
  expect(learned.chunkBytes(model, files, Infinity)).toBe(asked);
  learned.observe(model, "c", { ...sample, rssBytes: 900 * MiB });
  expect(learned.chunkBytes(model, files, Infinity)).toBeGreaterThanOrEqual(900 * MiB);
  await classes.flush();
  expect(classes.peek(classOf(model.spec))?.state.jobs).toBe(1);

  const other = new LearnedClasses({
    ...{ redis, prefix: keyPrefix(prefix), clock: systemClock, logger: quietLogger },
  });
  const elsewhere = new LearnedRuns(other, silent);
  await elsewhere.ready(model);
  expect(elsewhere.chunkBytes(model, files, Infinity)).toBeGreaterThanOrEqual(900 * MiB);
  const declares = { ...model, spec: { ...model.spec, resources: profileSchema.parse({ memoryBytes: 2_000 * MiB }) } };
  expect(elsewhere.chunkBytes(declares, files, Infinity)).toBe(2_000 * MiB);
  for (const one of [classes, other]) await one.stop();
  await deletePrefix(redis, prefix);
});

test("what is seen of a process or an engine on a card is learned of its class, as soon as it is beyond what was known", async ({
  redis,
  prefix,
}) => {
  const classes = new LearnedClasses({
    ...{ redis, prefix: keyPrefix(prefix), clock: systemClock, logger: quietLogger },
  });
  const seenMiB = new Map<string, number>();
  const ratios: string[] = [];
  const listener: LearnedListener = {
    ...silent,
    predicted: (_, { target, basis, ratio }) => target === "gpu" && ratios.push(`${basis} ${ratio.toFixed(2)}`),
  };
  const learned = new LearnedRuns(classes, listener, {
    peakOf: (jobId) => (seenMiB.has(jobId) ? (seenMiB.get(jobId) ?? 0) * MiB : undefined),
  });
  const gpuMiB = (of: LiveRun) => Math.floor((learned.expect(of, 1_000).gpuMemoryBytes?.p50 ?? 0) / MiB);
  const sample = { chunkId: "c", pid: 1, inputBytes: 1_000, elapsedMs: 10, rssBytes: MiB, cpuMs: 1, processes: 1 };
  learned.learn(run, "without", measureOf(0));
  expect(gpuMiB(run)).toBe(0);
  seenMiB.set("job-1", 3_000);
  learned.observe(run, "job-1", sample);
  expect(gpuMiB(run)).toBe(3_000);
  learned.learn(run, "job-1", measureOf(1));
  for (let job = 2; job < 6; job += 1) {
    seenMiB.set(`job-${job}`, 3_000);
    learned.learn(run, `job-${job}`, measureOf(job));
  }
  expect(gpuMiB(run)).toBe(3_000);
  // Of the first one nothing is known any more but what it was noted with itself.
  expect(ratios).toEqual(["learned 1.00", "learned 1.00", "learned 1.00", "learned 1.00"]);

  const model: LiveRun = { ...run, runId: "b", spec: specOf({ executor: "infer", command: ["/models/small"] }) };
  seenMiB.set("chunk-1", 400);
  learned.observe(model, "chunk-1", sample);
  // Its memory stays as it was, and its first batch takes more of the card.
  seenMiB.set("chunk-1", 5_000);
  learned.observe(model, "chunk-1", sample);
  expect(gpuMiB(model)).toBe(5_000);
  await classes.stop();
  await deletePrefix(redis, prefix);
});

test("a process that is seen on a card before its memory has grown tells nothing of that, nor the other way round", async ({
  redis,
  prefix,
}) => {
  const classes = new LearnedClasses({
    ...{ redis, prefix: keyPrefix(prefix), clock: systemClock, logger: quietLogger },
  });
  let gpuMiB = 0;
  const learned = new LearnedRuns(classes, silent, { peakOf: () => gpuMiB * MiB });
  await learned.ready(run);
  const sample = { chunkId: "c", pid: 1, inputBytes: 1_000, elapsedMs: 10, cpuMs: 1, processes: 1 };
  const expected = () => learned.expect(run, 1_000);
  const before = expected();
  gpuMiB = 3_000;
  for (const rssMiB of [5, 7, 9, 12, 16]) learned.observe(run, "first", { ...sample, rssBytes: rssMiB * MiB });
  expect(expected().memoryBytes).toEqual(before.memoryBytes);
  expect(expected()).toMatchObject({ basis: "default", gpuMemoryBytes: { p50: 3_000 * MiB } });
  learned.learn(run, "first", measureOf(0, { peakBytes: 1_000 * MiB, durationMs: 9_000 }));

  for (let job = 1; job < 60; job += 1) {
    learned.learn(run, `job-${job}`, measureOf(job, { peakBytes: 1_000 * MiB, durationMs: 9_000 }));
  }
  const known = expected();
  expect(known.memoryBytes.p50 / MiB).toBeGreaterThan(900);
  // More of the card than any before, while their memory is still small.
  gpuMiB = 6_000;
  for (let job = 0; job < 20; job += 1) learned.observe(run, `runs-${job}`, { ...sample, rssBytes: 20 * MiB });
  expect(expected().memoryBytes.p50 / known.memoryBytes.p50).toBeCloseTo(1, 1);
  // And more memory than any before, while they hold little of the card.
  gpuMiB = 10;
  const usual = expected().gpuMemoryBytes?.p50 ?? 0;
  for (let job = 0; job < 30; job += 1) learned.observe(run, `large-${job}`, { ...sample, rssBytes: 3_000 * MiB });
  expect((expected().gpuMemoryBytes?.p50 ?? 0) / usual).toBeCloseTo(1, 1);
  await classes.stop();
  await deletePrefix(redis, prefix);
});

test("a class whose jobs come to last longer, or to keep more cores busy, is told once of each, and what was learned stays", async ({
  redis,
  prefix,
}) => {
  let nowMs = 0;
  const clock = { ...systemClock, monotonicMs: () => nowMs };
  const classes = new LearnedClasses({ redis, prefix: keyPrefix(prefix), clock, logger: quietLogger });
  const drifted: string[] = [];
  const learned = new LearnedRuns(classes, { ...silent, drifted: (_, target) => drifted.push(target) });
  await learned.ready(run);
  const random = seeded(17);
  let index = 0;
  const learnMany = (jobs: number, durationMs: number, cores: number) => {
    for (let job = 0; job < jobs; job += 1, index += 1) {
      // What is known is looked at anew.
      nowMs += 200;
      const ms = durationMs * (0.8 + 0.4 * random());
      learned.learn(
        run,
        `job-${index}`,
        measureOf(index, { durationMs: ms, cpuMs: cores * ms * (0.9 + 0.2 * random()) }),
      );
    }
  };
  learnMany(200, 4_000, 0.5);
  expect(drifted).toEqual([]);
  const usual = learned.expect(run, 1_000);
  // One in ten is no change of the class.
  for (let round = 0; round < 6; round += 1) {
    learnMany(9, 4_000, 0.5);
    learnMany(1, 12_000, 0.5);
  }
  expect(drifted).toEqual([]);
  learnMany(60, 10_000, 0.5);
  expect(drifted).toEqual(["duration"]);
  learnMany(60, 10_000, 2);
  expect(drifted).toEqual(["duration", "cpu"]);
  expect(learned.expect(run, 1_000).samples).toBeGreaterThan(usual.samples);
  await classes.stop();
  await deletePrefix(redis, prefix);
});
