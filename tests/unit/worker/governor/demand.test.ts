import { describe, expect, test } from "vitest";
import { bucketBytes, bucketOf, defaultProfile } from "../../../../src/contract/profiles.ts";
import { MiB } from "../../../../src/contract/resources.ts";
import {
  decideBucket,
  decideMemoryNeed,
  floorBytes,
  type LearnedDemand,
} from "../../../../src/worker/governor/demand.ts";
import { parseLearned } from "../../../../src/worker/governor/learned.ts";

const learned = (n: number, peakMiB: number): LearnedDemand => ({
  durationMsPerFile: 5,
  peakBytes: peakMiB * MiB,
  maxPeakBytes: peakMiB * MiB,
  n,
});
const profile = defaultProfile;

describe("decideMemoryNeed", () => {
  test.each([
    ["nothing is learned", undefined, profile.memoryBytes],
    ["little is learned and less is used", learned(3, 10), profile.memoryBytes],
    ["little is learned and more is used", learned(4, 400), 400 * 1.25 * MiB],
    ["enough is learned", learned(100, 400), 400 * 1.05 * MiB],
    ["enough is learned and next to nothing is used", learned(100, 1), 8 * MiB],
  ])("when %s", (_name, known, bytes) => {
    expect(decideMemoryNeed({ profile, learned: known })).toBe(Math.ceil(bytes));
  });

  test("is never below what an earlier memory kill showed", () => {
    const facts = { profile, learned: learned(100, 10), endedAtPeakBytes: 300 * MiB };
    expect(decideMemoryNeed(facts)).toBe(floorBytes(300 * MiB));
    expect(bucketBytes(decideBucket(facts))).toBeGreaterThanOrEqual(405 * MiB);
    expect(decideBucket({ profile, learned: undefined })).toBe(bucketOf(profile.memoryBytes));
  });
});

describe("parseLearned", () => {
  test("tells the mean time and the peak that all but one in twenty stayed below", () => {
    const figures = parseLearned({ files: "100", ms: "500", max: String(900 * MiB), b50: "94", b100: "6" });
    expect(figures).toMatchObject({ durationMsPerFile: 5, n: 100, maxPeakBytes: 900 * MiB });
    expect(figures?.peakBytes).toBe(Math.ceil(MiB * 1.05 ** 100));
    expect(parseLearned({ files: "100", ms: "1", max: String(900 * MiB), b50: "95", b100: "5" })?.peakBytes).toBe(
      Math.ceil(MiB * 1.05 ** 50),
    );
  });

  test("knows nothing from an empty or damaged hash", () => {
    expect(parseLearned({})).toBeUndefined();
    expect(parseLearned({ files: "many" })).toBeUndefined();
  });
});
