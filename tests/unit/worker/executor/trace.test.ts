import { expect, test } from "vitest";
import { MemoryTrace } from "../../../../src/worker/executor/trace.ts";

function traceOf(durationMs: number, bytesAt: (share: number) => number): MemoryTrace {
  const trace = new MemoryTrace();
  for (let ms = 150; ms < durationMs; ms += 150) trace.add(ms, bytesAt(ms / durationMs), null);
  return trace;
}

test.each([3_000, 60_000, 3_600_000])("tells when a process of %d ms came to which share of its peak", (durationMs) => {
  const trace = traceOf(durationMs, (share) => (share < 0.55 ? 100 : 400));
  const shape = trace.shape(durationMs, 400) ?? [];
  expect(shape).toHaveLength(10);
  expect(shape.slice(0, 4)).toEqual([0.25, 0.25, 0.25, 0.25]);
  expect(shape.slice(5)).toEqual([1, 1, 1, 1, 1]);
});

test("never claims less than was seen, between two samples neither", () => {
  const trace = traceOf(4_000, (share) => 100 + 300 * share);
  for (const [bin, share] of (trace.shape(4_000, 400) ?? []).entries()) {
    expect(share).toBeGreaterThanOrEqual(Math.min(0.97, (100 + 30 * (bin + 1)) / 400));
  }
});

test("says nothing of a process that was too short, or whose peak was missed", () => {
  expect(traceOf(1_000, () => 1).shape(1_000, 1)).toBeNull();
  expect(traceOf(6_000, () => 100).shape(6_000, 200)).toBeNull();
});

test("keeps the most that was read and written", () => {
  const trace = new MemoryTrace();
  expect(trace.ioBytes).toBeNull();
  for (const bytes of [null, 10, 30, 20]) trace.add(1, 1, bytes);
  expect(trace.ioBytes).toBe(30);
});
