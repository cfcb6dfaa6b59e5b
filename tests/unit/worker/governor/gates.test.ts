import { describe, expect, test } from "vitest";
import type { CapacityReading } from "../../../../src/worker/governor/capacity.ts";
import {
  cooldownRemainingMs,
  decideCpuGate,
  decidePressureGate,
  openCpuGate,
  openPressureGate,
  type CpuGate,
} from "../../../../src/worker/governor/gates.ts";

const base = { threshold: 0.8, others: 0, maxProcesses: 64 };

describe("the CPU gate", () => {
  test("stays open below the threshold", () => {
    const gate = decideCpuGate(openCpuGate, { ...base, utilisation: 0.79, runningProcesses: 2, nowMs: 0 });
    expect(gate.allowed).toBeUndefined();
  });

  test("closes when others alone reach the threshold, and opens only clearly below", () => {
    const input = { ...base, utilisation: 0.9, runningProcesses: 0, nowMs: 0 };
    const closed = decideCpuGate(openCpuGate, { ...input, others: 0.8 });
    expect(closed.isTakenByOthers).toBe(true);
    expect(decideCpuGate(closed, { ...input, others: 0.77 }).isTakenByOthers).toBe(true);
    expect(decideCpuGate(closed, { ...input, others: 0.74 }).isTakenByOthers).toBe(false);
  });

  test("holds at once to those that run, then to the share that the threshold leaves, never under one", () => {
    let gate: CpuGate = openCpuGate;
    const allowed = [0, 500, 1_000, 2_000, 3_000].map((nowMs) => {
      const runningProcesses = gate.allowed ?? 64;
      gate = decideCpuGate(gate, { ...base, utilisation: nowMs < 2_000 ? 1 : 0.81, runningProcesses, nowMs });
      return gate.allowed;
    });
    expect(allowed).toEqual([64, 64, 51, 50, 49]);
    const alone = { allowed: 1, isTakenByOthers: false, steppedAtMs: 0 };
    expect(decideCpuGate(alone, { ...base, utilisation: 1, runningProcesses: 1, nowMs: 9_000 }).allowed).toBe(1);
  });

  test("lets more in step by step, and only while the number is what holds them", () => {
    const held: CpuGate = { allowed: 4, isTakenByOthers: false, steppedAtMs: 0 };
    const input = { ...base, utilisation: 0.4, nowMs: 1_000 };
    expect(decideCpuGate(held, { ...input, runningProcesses: 4 }).allowed).toBe(8);
    expect(decideCpuGate(held, { ...input, runningProcesses: 4, nowMs: 900 }).allowed).toBe(4);
    expect(decideCpuGate(held, { ...input, runningProcesses: 3 }).allowed).toBe(4);
    expect(decideCpuGate(held, { ...input, runningProcesses: 4, maxProcesses: 8 }).allowed).toBeUndefined();
    expect(decideCpuGate(held, { ...input, runningProcesses: 0 }).allowed).toBeUndefined();
  });
});

describe("the pressure gate", () => {
  const reading = (atMs: number, memorySome: number, memoryFull = 0) =>
    ({ atMs, pressure: { scope: "host", memorySome, memoryFull, cpuSome: 0 } }) as CapacityReading;

  test("closes at once and opens after two calm seconds", () => {
    let gate = decidePressureGate(openPressureGate, reading(0, 0.2));
    expect(gate.isClosed).toBe(true);
    gate = decidePressureGate(gate, reading(100, 0.01));
    gate = decidePressureGate(gate, reading(1_000, 0.05));
    gate = decidePressureGate(gate, reading(1_100, 0.01));
    gate = decidePressureGate(gate, reading(3_000, 0.01));
    expect(gate.isClosed).toBe(true);
    expect(decidePressureGate(gate, reading(3_100, 0.01)).isClosed).toBe(false);
  });

  test("closes when all tasks stall for a little", () => {
    expect(decidePressureGate(openPressureGate, reading(0, 0.03, 0.03)).isClosed).toBe(true);
    expect(decidePressureGate(openPressureGate, reading(0, 0.05, 0.01)).isClosed).toBe(false);
  });
});

describe("the cool-down", () => {
  test("admits nothing, then one, then twice as many at each step", () => {
    const remaining = (admitted: number, nowMs: number) => cooldownRemainingMs({ endedAtMs: 0, admitted }, nowMs, 3);
    expect(remaining(0, 500)).toBe(1_500);
    expect(remaining(0, 2_000)).toBe(0);
    expect(remaining(1, 2_050)).toBe(50);
    expect(remaining(1, 2_100)).toBe(0);
    expect(remaining(3, 2_100)).toBe(100);
    expect(remaining(1_000, 2_600)).toBe(0);
  });

  test("does not hold an empty worker", () => {
    expect(cooldownRemainingMs({ endedAtMs: 0, admitted: 0 }, 1, 0)).toBe(0);
  });
});
