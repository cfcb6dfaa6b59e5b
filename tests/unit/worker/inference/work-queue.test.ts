import { describe, expect, test } from "vitest";
import { WorkQueue, type WorkGroup, type WorkItem } from "../../../../src/worker/inference/work-queue.ts";

function groupOf(...paths: string[]): WorkGroup {
  return { placeId: 1, paths, onAnswers: () => undefined, onBroken: () => undefined };
}

const pathsOf = (items: readonly WorkItem[]) => items.map(({ group, at }) => group.paths[at]);

describe("work queue", () => {
  test("gives files of several groups in the order in which they came", () => {
    const queue = new WorkQueue();
    queue.add(groupOf("a", "b"), 0);
    queue.add(groupOf("c", "d"), 0);
    expect(pathsOf(queue.take(3))).toEqual(["a", "b", "c"]);
    expect(pathsOf(queue.take(3))).toEqual(["d"]);
    expect(queue.take(3)).toEqual([]);
  });

  test("puts files back in front, and keeps their batches as small as they may be", () => {
    const queue = new WorkQueue();
    queue.add(groupOf("a", "b", "c", "d", "e"), 0);
    const batch = queue.take(4);
    for (const item of batch) item.limit = 2;
    queue.putBack(batch);
    expect(pathsOf(queue.take(8))).toEqual(["a", "b"]);
    expect(pathsOf(queue.take(8))).toEqual(["c", "d"]);
    expect(pathsOf(queue.take(8))).toEqual(["e"]);
  });

  test("lets one file alone where it may go in no batch", () => {
    const queue = new WorkQueue();
    queue.add(groupOf("a", "b"), 0);
    const batch = queue.take(2);
    for (const item of batch) item.limit = 1;
    queue.putBack(batch);
    expect(pathsOf(queue.take(8))).toEqual(["a"]);
  });

  test("forgets the files of a group that was withdrawn, and no other", () => {
    const queue = new WorkQueue();
    const gone = groupOf("a", "b");
    queue.add(gone, 0);
    queue.add(groupOf("c"), 0);
    queue.withdraw(gone);
    expect(pathsOf(queue.take(9))).toEqual(["c"]);
  });
});
