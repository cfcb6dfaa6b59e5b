import { describe, expect, test } from "vitest";
import { GiB } from "../../../src/contract/resources.ts";
import type { WorkerHeartbeat } from "../../../src/contract/status.ts";
import { profileSetReasons, tooLargeReasons } from "../../../src/platform/explain-workers.ts";

test("what was set of a profile is told, whatever of it was", () => {
  const messageOf = (change: Parameters<typeof profileSetReasons>[1]) =>
    profileSetReasons("heavy", change).map(({ message }) => message);
  expect(messageOf(undefined)).toEqual([]);
  expect(messageOf({ gpu_memory: 12 * GiB })).toEqual([
    "its jobs ask for 12288 MiB of the memory of a GPU, in place of what their runs declare; headroom profiles reset heavy takes that back",
  ]);
  expect(messageOf({ memory: GiB, cpu: 2, labels: [] })).toEqual([
    "its jobs ask for 1024 MiB of memory, 2 cores, no labels, in place of what their runs declare; headroom profiles reset heavy takes that back",
  ]);
});

describe("jobs that no live worker can ever take", () => {
  const worker = (workerId: string, largestJobBytes: number | null, largestCardBytes?: number): WorkerHeartbeat => ({
    ...{ workerId, host: "h", pid: 1, startedAtMs: 0, atMs: 0, state: "working", labels: ["gpu"], running: [] },
    ...{ capacity: {}, reserved: {}, observed: {}, headroom: {}, waiting: [], keepsRoomFor: null },
    ...{ largestJobBytes, largestCardBytes },
  });
  const queue = { name: "exec.heavy@20", labels: ["gpu"], gpuMemoryBytes: 40 * GiB };
  const told = (workers: WorkerHeartbeat[], about = queue) =>
    tooLargeReasons(about, workers).map(({ need, have, message }) => ({ need, have, message }));

  test("for the memory of a card are told with the worker that comes nearest", () => {
    expect(told([worker("small", 8 * GiB, 16 * GiB), worker("large", 8 * GiB, 24 * GiB)])).toEqual([
      {
        ...{ need: 40 * GiB, have: 24 * GiB },
        message:
          "no live worker can ever take these jobs: each needs 40960 MiB of GPU memory, and the nearest one, large, has cards of 24576 MiB at most",
      },
    ]);
  });

  test("are none where one worker has all of it, or does not tell its cards", () => {
    expect(told([worker("small", 8 * GiB, 16 * GiB), worker("fits", 8 * GiB, 40 * GiB)])).toEqual([]);
    expect(told([worker("small", 8 * GiB, 16 * GiB), worker("older", 8 * GiB)])).toEqual([]);
    expect(told([worker("small", 8 * GiB, 16 * GiB)], { ...queue, labels: [] })).toEqual([]);
  });

  test("since each worker lacks something else are told with what the nearest lacks", () => {
    const workers = [worker("no memory", GiB / 2, 80 * GiB), worker("small card", 8 * GiB, 4 * GiB)];
    expect(told(workers)).toMatchObject([{ need: GiB, have: GiB / 2 }]);
  });
});
