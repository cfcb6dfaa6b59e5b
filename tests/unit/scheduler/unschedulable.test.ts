import { describe, expect, test } from "vitest";
import type { WaitingQueue, WorkerHeartbeat } from "../../../src/contract/status.ts";
import { findHopeless, UNSCHEDULABLE_GRACE_MS } from "../../../src/scheduler/unschedulable.ts";

const NOW = 1_000_000;
const long = NOW - UNSCHEDULABLE_GRACE_MS;

function worker(waiting: readonly Partial<WaitingQueue>[], atMs = NOW): WorkerHeartbeat {
  const none = { memoryBytes: 0, cpuCores: 0, processes: 0 };
  return {
    ...{ workerId: "w", host: "h", pid: 1, startedAtMs: 0, atMs, state: "working", labels: [] },
    ...{ capacity: none, reserved: none, observed: none, headroom: none, largestJobBytes: null, running: [] },
    keepsRoomFor: null,
    waiting: waiting.map((reason) => ({
      ...{ queue: "exec.big@40", code: "UNSCHEDULABLE", message: "needs more", sinceMs: long },
      ...{ etaMs: null, need: null, have: null },
      ...reason,
    })),
  };
}

describe("findHopeless", () => {
  test("names a queue that every worker which serves it refuses for good", () => {
    const found = findHopeless([worker([{}]), worker([{}]), worker([])], NOW);
    expect(found).toEqual([{ queue: "exec.big@40", message: "the nearest, worker w: needs more" }]);
  });

  test.each([
    ["a worker only defers it", [worker([{}]), worker([{ code: "MEM_NOW" }])]],
    ["it has not waited for long", [worker([{ sinceMs: long + 1 }])]],
    ["its worker is gone", [worker([{}], NOW - 3_600_000)]],
    ["there are no workers", []],
  ])("names none while %s", (_why, workers) => {
    expect(findHopeless(workers, NOW)).toEqual([]);
  });
});
