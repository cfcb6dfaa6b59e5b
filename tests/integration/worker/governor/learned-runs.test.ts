import { expect } from "vitest";
import { keyPrefix } from "../../../../src/contract/queues.ts";
import { MiB } from "../../../../src/contract/resources.ts";
import type { RunAnomaly } from "../../../../src/contract/run-record.ts";
import { systemClock } from "../../../../src/platform/clock.ts";
import { classOf } from "../../../../src/platform/learned/class-key.ts";
import { LearnedClasses } from "../../../../src/platform/learned/learned-classes.ts";
import type { LiveRun } from "../../../../src/platform/run-hash.ts";
import type { ProcessMeasure } from "../../../../src/worker/executor/chunk-request.ts";
import { LearnedRuns } from "../../../../src/worker/governor/learned-runs.ts";
import { quietLogger } from "../../../support/quiet-logger.ts";
import { deletePrefix, test } from "../../../support/redis.ts";
import { specOf } from "../../store/fixtures.ts";

const run: LiveRun = { runId: "a", spec: specOf(), epoch: 1, state: "running", createdAtMs: 0 };

function measureOf(index: number, change: Partial<ProcessMeasure> = {}): ProcessMeasure {
  return {
    ...{ end: "well", index, path: `${index}.txt`, inputBytes: 1_000, durationMs: 5, cpuMs: 4 },
    ...{ peakBytes: 20 * MiB, ioBytes: null, shape: null },
    ...change,
  };
}

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
    predicted: (target) => (predicted += target === "memory" ? 1 : 0),
    covered: () => undefined,
    anomaly: (_, anomaly) => anomalies.push(anomaly),
    drifted: () => undefined,
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
