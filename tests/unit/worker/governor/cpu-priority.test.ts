import { describe, expect, test } from "vitest";
import { MiB } from "../../../../src/contract/resources.ts";
import type { Gates } from "../../../../src/worker/governor/admission-view.ts";
import { calmCpu, decideCpuState, decidePriority } from "../../../../src/worker/governor/cpu-priority.ts";
import { openMachineGates, showMachineGates } from "../../../../src/worker/governor/machine-gates.ts";
import { unknownMachine } from "../../../../src/worker/governor/machine.ts";
import type { CpuState, EnforcedJob, EnforcementView } from "../../../../src/worker/governor/step.ts";

import { nothingKnown } from "../../../support/situations/situation.ts";

const NOW_MS = 100_000;

function job(jobId: string, cores: number, more: Partial<EnforcedJob> = {}): EnforcedJob {
  return {
    ...{ jobId, runId: "run", pid: 7, isRetriable: true, isInside: false, endsAtMs: undefined, expectation: undefined },
    ...{ suspension: undefined, suspendedMs: 0, slowed: undefined, peakBytes: MiB },
    need: { memoryBytes: MiB, cpuCores: 1, processes: 1 },
    usage: { rssBytes: MiB, cpuMs: cores * 10_000, atMs: 0 },
    processSinceMs: NOW_MS - 10_000,
    ...more,
  };
}

function view(cpu: CpuState, jobs: readonly EnforcedJob[]): EnforcementView {
  const memory = { memory: [], memoryThreshold: 0.96, systemReserveBytes: 0, pressure: undefined };
  return { ...memory, jobs, cpu, isDraining: false, nowMs: NOW_MS };
}

const step = (cpu: CpuState, jobs: readonly EnforcedJob[]) => {
  const found = decidePriority(view(cpu, jobs));
  return found && [found.kind, found.jobId, found.reason];
};
const short = (ms = 2_000): CpuState => ({ kind: "short", reason: "cpu-pressure", sinceMs: NOW_MS - ms });
const calm = (ms: number): CpuState => ({ kind: "calm", sinceMs: NOW_MS - ms });
const slowed = { slowed: { sinceMs: 0, message: "slowed" } };

describe("whose priority is lowered while cores are short", () => {
  const kept = job("kept", 1);

  test("that of the job furthest beyond the cores that were reserved for it, one at a time", () => {
    const jobs = [kept, job("two", 2), job("four", 4)];
    expect(step(short(), jobs)).toEqual(["slow", "four", "cpu-pressure"]);
    expect(step(short(), [kept, job("two", 2), job("four", 4, slowed)])).toEqual(["slow", "two", "cpu-pressure"]);
  });

  test("nobody's before cores have been short for two seconds, nor that of a process as young as that", () => {
    expect(step(short(1_900), [kept, job("four", 4)])).toBeUndefined();
    expect(step(short(), [kept, job("four", 4, { processSinceMs: NOW_MS - 1_000 })])).toBeUndefined();
  });

  test("not that of a job that keeps to what was reserved, or is known to need, or to one core", () => {
    expect(step(short(), [kept, job("kept-2", 1.4)])).toBeUndefined();
    const cpuCores = { p50: 4, p95: 4 };
    const expectation = { ...nothingKnown, cpuCores };
    expect(step(short(), [kept, job("known", 4, { expectation })])).toBeUndefined();
    const share = { memoryBytes: MiB, cpuCores: 0.2, processes: 1 };
    expect(step(short(), [kept, job("shared", 1, { need: share })])).toBeUndefined();
  });

  test("among jobs that all take more, only for a cap that is not on us alone", () => {
    const jobs = [job("two", 2), job("four", 4)];
    expect(step(short(), jobs)).toBeUndefined();
    expect(step({ kind: "short", reason: "heat", sinceMs: 0 }, jobs)).toEqual(["slow", "four", "heat"]);
  });

  test("and it is given back once they have not been short for five seconds", () => {
    expect(step(calm(4_900), [kept, job("four", 4, slowed)])).toBeUndefined();
    expect(step(calm(5_000), [kept, job("four", 4, slowed)])).toEqual(["restore", "four", "calm"]);
    expect(step(calm(5_000), [kept, job("four", 4)])).toBeUndefined();
  });
});

describe("whether cores are short", () => {
  const open: Gates = { cooldown: undefined, pressure: undefined, cpu: undefined };
  const seen = (cpuSome: number | undefined, nowMs: number, gates = open) => ({
    pressure: cpuSome === undefined ? undefined : { scope: "cgroup" as const, memorySome: 0, memoryFull: 0, cpuSome },
    ...{ gates, nowMs },
  });

  test("is told by tasks that wait for one, with hysteresis", () => {
    expect(decideCpuState(calmCpu, seen(0.2, 1))).toBe(calmCpu);
    const begun = decideCpuState(calmCpu, seen(0.3, 2));
    expect(begun).toEqual({ kind: "short", reason: "cpu-pressure", sinceMs: 2 });
    expect(decideCpuState(begun, seen(0.2, 3))).toEqual(begun);
    expect(decideCpuState(begun, seen(0.05, 4))).toEqual({ kind: "calm", sinceMs: 4 });
    expect(decideCpuState(begun, seen(undefined, 5))).toEqual({ kind: "calm", sinceMs: 5 });
  });

  test("is told by a cap that binds", () => {
    const reasonOf = (gates: Gates) => {
      const state = decideCpuState(calmCpu, seen(0, 1, gates));
      return state.kind === "short" ? state.reason : undefined;
    };
    expect(reasonOf({ ...open, cpu: { allowed: 1, utilisation: 0.9, others: 0 } })).toBe("cpu-threshold");
    const reading = { atMs: 0, memoryBytes: 0, memory: [], cpuCores: 4, cpu: undefined, pressure: undefined };
    const machine = showMachineGates(openMachineGates, { ...reading, machine: unknownMachine, degraded: [] }, {});
    expect(reasonOf({ ...open, machine })).toBeUndefined();
    const throttle = { allowed: 1, perSecond: 3 };
    expect(reasonOf({ ...open, machine: { ...machine, throttle } })).toBe("heat");
    const power = { allowed: 1, watts: 9, capWatts: 8 };
    expect(reasonOf({ ...open, machine: { ...machine, power } })).toBe("power");
  });
});
