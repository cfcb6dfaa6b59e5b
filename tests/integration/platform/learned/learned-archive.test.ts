import type { Redis } from "ioredis";
import { expect } from "vitest";
import { keyPrefix, keys } from "../../../../src/contract/queues.ts";
import { MiB } from "../../../../src/contract/resources.ts";
import { systemClock } from "../../../../src/platform/clock.ts";
import {
  archiveOf,
  dropClasses,
  loadClasses,
  parseArchive,
  putClasses,
  summaryOf,
} from "../../../../src/platform/learned/learned-archive.ts";
import { LearnedClasses } from "../../../../src/platform/learned/learned-classes.ts";
import { noteOf, type Measure } from "../../../../src/platform/learned/note.ts";
import { keepLearned } from "../../../../src/scheduler/learned-snapshot.ts";
import { openStore } from "../../../../src/store/open-store.ts";
import { quietLogger } from "../../../support/quiet-logger.ts";
import { deletePrefix, test } from "../../../support/redis.ts";
import { makeTempFolder } from "../../../support/temp-folder.ts";

const about = { key: `default:${"ab".repeat(32)}`, profile: "default", command: ["/bin/tool", "{input}"] };

async function learn(deps: { redis: Redis; prefix: string }): Promise<void> {
  const classes = new LearnedClasses({ ...deps, clock: systemClock, logger: quietLogger });
  for (let job = 0; job < 20; job += 1) {
    const measure: Measure = {
      kind: "ended",
      inputBytes: job * MiB,
      peakBytes: (100 + job) * MiB,
      durationMs: 1_000,
      cpuMs: 800,
      ioBytes: 5 * MiB,
      gpuBytes: null,
      shape: null,
      weight: 1,
      jobs: 1,
    };
    classes.note(about, noteOf(measure, classes.peek(about), undefined));
  }
  await classes.stop();
}

test("what is exported comes back as it was", async ({ redis, prefix }) => {
  const kp = keyPrefix(prefix);
  await learn({ redis, prefix: kp });
  const before = await loadClasses(redis, kp);
  expect(before.map(summaryOf)).toMatchObject([{ jobs: 20, samples: 20, profile: "default", command: about.command }]);
  const text = JSON.stringify(archiveOf(before));
  expect(await dropClasses(redis, kp, [about.key])).toBe(1);
  expect(await loadClasses(redis, kp)).toEqual([]);
  await putClasses(redis, kp, parseArchive(text, "file").classes);
  expect(await loadClasses(redis, kp)).toEqual(before);
  await deletePrefix(redis, prefix);
});

test.each([
  ["no JSON", "{", /headroom learned export/],
  ["another JSON", '{"a":1}', /headroom learned export/],
  ["a newer class", JSON.stringify(archiveOf([{ key: about.key, atMs: 1, fields: { v: "9" } }])), /newer version 9/],
  ["a bad class", JSON.stringify(archiveOf([{ key: about.key, atMs: 1, fields: { v: "1" } }])), /figure of a class/],
])("%s is refused as a whole", (_what, text, message) => {
  expect(() => parseArchive(text, "learned.json")).toThrow(message);
});

test("the store keeps what was learned, and gives it back to a Redis that has nothing", async ({ redis, prefix }) => {
  const kp = keyPrefix(prefix);
  using folder = makeTempFolder();
  await using store = await openStore(`sqlite:${folder.path}/headroom.db`, quietLogger);
  await store.migrate();
  const deps = { redis, kp, store, logger: quietLogger };
  expect(await keepLearned(deps, 0)).toBe(0);
  await learn({ redis, prefix: kp });
  const before = await loadClasses(redis, kp);
  const savedMs = await keepLearned(deps, 0);
  expect(savedMs).toBe(before[0]?.atMs);
  await redis.unlink(keys.learned(kp, about.key), keys.learnedClasses(kp));
  await keepLearned(deps, savedMs);
  expect(await loadClasses(redis, kp)).toEqual(before);
  await deletePrefix(redis, prefix);
});
