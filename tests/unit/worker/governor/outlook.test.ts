import { describe, expect, test } from "vitest";
import { MiB } from "../../../../src/contract/resources.ts";
import {
  envelopeOf,
  outlookOf,
  outlookOfCandidate,
  type MemoryExpectation,
} from "../../../../src/worker/governor/outlook.ts";

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
    expect(hiMb(3_000, 400)).toBe(824);
    expect(hiMb(3_000, 700)).toBe(1_442);
    expect(hiMb(7_500, 700)).toBe(721);
  });

  test("is never less than a little more than it takes now, and nothing is given back while its kind shows nothing", () => {
    expect(hiMb(8_000, 900)).toBe(927);
    expect(hiMb(3_000, 400, { ...late, shown: undefined })).toBe(1_600);
    expect(hiMb(3_000, 400, { ...late, shown: Array<number>(10).fill(0) })).toBe(1_600);
    expect(hiMb(3_000, 400, { ...late, shape: undefined })).toBe(1_600);
  });

  test("is the peak of its kind before its process is seen", () => {
    expect(hiMb(3_000, 0)).toBe(1_600);
  });
});

describe("what a job may take over time", () => {
  const uneven = { ...late, durationMs: { p05: 5_000, p50: 10_000, p95: 20_000 } };
  const inMb = (outlook: ReturnType<typeof outlookOf>, fromMs: number, toMs: number) => {
    const { hiBytes, midBytes } = envelopeOf(outlook, fromMs, toMs);
    return [Math.round(hiBytes / MiB), Math.round(midBytes / MiB)];
  };

  test("is at its worst for a quick one and for a slow one, and in the middle at the usual pace", () => {
    const candidate = outlookOfCandidate(uneven);
    expect(inMb(candidate, 0, 2_000)).toEqual([800, 500]);
    // A quick one has come to its peak by now, one of the usual pace to half of it.
    expect(inMb(candidate, 2_000, 4_000)).toEqual([1_600, 500]);
    expect(inMb(candidate, 4_000, 6_000)).toEqual([1_600, 1_000]);
    // Most have ended by then, and a slow one goes on.
    expect(inMb(candidate, 11_000, 12_000)).toEqual([1_600, 0]);
    expect(inMb(candidate, 24_000, 25_000)).toEqual([0, 0]);
  });

  test("is in the middle what half of its kind show by then", () => {
    const usual = [0.1, 0.1, 0.1, 0.1, 0.2, 0.3, 0.4, 0.5, 0.8, 1];
    const candidate = outlookOfCandidate({ ...uneven, usual });
    expect(inMb(candidate, 0, 2_000)).toEqual([800, 100]);
    expect(inMb(candidate, 4_000, 6_000)).toEqual([1_600, 400]);
    const seen = { id: "job", expectation: { ...uneven, usual }, rssBytes: 400 * MiB, peakBytes: 400 * MiB };
    const running = outlookOf({ ...seen, elapsedMs: 4_000 });
    // No more than 1.03 times what it has, over what its kind shows by now.
    expect(inMb(running, 2_000, 3_000)).toEqual([824, 412]);
    expect(outlookOf({ ...seen, elapsedMs: 4_000, isSuspended: true }).usual).toBeUndefined();
  });

  test("ends for half of those that are past the middle in the middle of what is left", () => {
    const seen = { id: "job", expectation: uneven, rssBytes: 1_000 * MiB, peakBytes: 1_000 * MiB };
    const running = outlookOf({ ...seen, elapsedMs: 12_000 });
    expect(inMb(running, 2_000, 3_000)[1]).toBeGreaterThan(990);
    expect(inMb(running, 5_000, 6_000)[1]).toBe(0);
    // Past the time of all but one in twenty nobody can say when it ends.
    const overdue = outlookOf({ ...seen, elapsedMs: 21_000 });
    expect(inMb(overdue, 5_000, 6_000)).toEqual([1_030, 1_000]);
  });

  test("does not end while it stands still", () => {
    const seen = { id: "job", expectation: uneven, rssBytes: 400 * MiB, peakBytes: 400 * MiB };
    const middle = (isSuspended: boolean) =>
      inMb(outlookOf({ ...seen, elapsedMs: 6_000, isSuspended }), 9_000, 10_000)[1];
    expect([middle(false), middle(true)]).toEqual([0, 824]);
  });
});
