/** What the ends of jobs do to how sure admission wants to be. */
import { MiB } from "../../../../src/contract/resources.ts";
import { expect, onTestFinished, test } from "vitest";
import { Reservations, type Reservation } from "../../../../src/worker/governor/reservations.ts";
import { FIRST_Z } from "../../../../src/worker/governor/risk.ts";
import { SelfTuning } from "../../../../src/worker/governor/self-tuning.ts";
import { StagedWorker } from "../../../support/staged-worker.ts";

const NOW = 60_000;

/** A job that is released after so much work. */
function ended(jobId: string, work: number): Reservation {
  const ledger = new Reservations();
  const need = { memoryBytes: 100, cpuCores: 1, processes: 1 };
  const { id } = ledger.reserve(need, { queue: "exec.default@14", isInside: false, nowMs: 1 });
  ledger.bind(id, { jobId, runId: "r", nowMs: 2 });
  if (work > 0) ledger.worked(jobId, { work, cpuMs: 10 });
  const released = ledger.release(id);
  if (released === undefined) throw new Error("expected a reservation");
  return released;
}

test("a job that ran to its end makes admission bolder, one that failed or was put elsewhere does not", () => {
  const tuning = new SelfTuning();
  tuning.noteEnd(ended("moved", 0), NOW);
  expect(tuning.z).toBe(FIRST_Z);
  tuning.noteEnd(ended("done", 1), NOW);
  expect(tuning.z).toBeCloseTo(FIRST_Z - 0.02);
});

test("a kill makes it more careful, most of all one by the kernel, and the job's end takes nothing of that back", () => {
  const tuning = new SelfTuning();
  for (let jobs = 0; jobs < 60; jobs += 1) tuning.noteEnd(ended(`job-${jobs}`, 1), NOW);
  const calm = tuning.z;
  tuning.noteKill("kernel", "kernel-kill");
  expect(tuning.z).toBeCloseTo(calm + 1);
  tuning.noteKill("first", "governor-kill");
  tuning.noteKill("second", "governor-kill");
  const careful = tuning.z;
  expect(careful).toBeCloseTo(calm + 1.6);
  // They went on with their other files.
  for (const jobId of ["kernel", "first", "second"]) tuning.noteEnd(ended(jobId, 3), NOW);
  expect(tuning.z).toBe(careful);
  // The next start of such a job counts by itself.
  tuning.noteEnd(ended("first", 1), NOW);
  expect(tuning.z).toBeCloseTo(careful - 0.02);
});

test("after a kill by the kernel fewer jobs are let in at a time, and after failures no more than before", async () => {
  const stage = await new StagedWorker({ config: { maxProcesses: 100 } }).start();
  onTestFinished(() => stage[Symbol.asyncDispose]());
  const spread = { p50: 8 * MiB, p95: 30 * MiB };
  const expectation = {
    ...({ basis: "learned", samples: 100, memoryBytes: spread, durationMs: { p05: 6e4, p50: 6e4, p95: 6e4 } } as const),
    ...{ cpuCores: undefined, ioBytesPerSecond: undefined, gpuMemoryBytes: undefined, shape: undefined },
  };
  const question = {
    ...stage.ask(30, { need: { cpuCores: 0.01 } }),
    expected: { expectation, lastsMs: 60_000 },
  };
  let jobs = 0;
  const most = () => {
    const before = jobs;
    while (stage.asks(question) === undefined) stage.begin(`job-${++jobs}`, question, { expectation });
    return jobs - before;
  };
  const first = most();
  expect(first).toBeGreaterThan(5);
  stage.end();
  expect(most()).toBe(first);
  stage.governor.killed(`job-${jobs}`);
  stage.end();
  expect(most()).toBeLessThan(first);
});
