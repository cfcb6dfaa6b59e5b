import { describe, expect, test } from "vitest";
import { MiB } from "../../../../src/contract/resources.ts";
import { outlookOf, type MemoryExpectation } from "../../../../src/worker/governor/outlook.ts";

/** Half of the peak from its first tenth on, all of it from its sixth. */
const late: MemoryExpectation = {
  memoryBytes: { p50: 1_000 * MiB, p95: 1_600 * MiB },
  durationMs: { p05: 9_000, p50: 10_000, p95: 10_000 },
  shape: [0.5, 0.5, 0.5, 0.5, 0.5, 1, 1, 1, 1, 1],
  shown: [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1, 1, 1, 1],
};

const hiMb = (elapsedMs: number, rssMb: number, expectation = late): number => {
  const seen = { elapsedMs, rssBytes: rssMb * MiB, peakBytes: rssMb * MiB };
  return Math.round(outlookOf({ id: "job", expectation, ...seen }).hiBytes / MiB);
};

describe("what a running job will take", () => {
  test("is told by what it took at a moment at which its kind shows a part of its peak", () => {
    expect(hiMb(1_100, 400)).toBe(1_600);
    expect(hiMb(3_000, 400)).toBe(840);
    expect(hiMb(3_000, 700)).toBe(1_470);
    expect(hiMb(7_500, 700)).toBe(735);
  });

  test("is never less than a little more than it takes now, and nothing is given back while its kind shows nothing", () => {
    expect(hiMb(8_000, 900)).toBe(945);
    expect(hiMb(3_000, 400, { ...late, shown: undefined })).toBe(1_600);
    expect(hiMb(3_000, 400, { ...late, shown: Array<number>(10).fill(0) })).toBe(1_600);
    expect(hiMb(3_000, 400, { ...late, shape: undefined })).toBe(1_600);
  });

  test("is the peak of its kind before its process is seen", () => {
    expect(hiMb(3_000, 0)).toBe(1_600);
  });
});
