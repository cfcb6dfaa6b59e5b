import { describe, expect, test } from "vitest";
import { MOST_PASSED, WorkQueue, type WorkGroup, type WorkItem } from "../../../../src/worker/inference/work-queue.ts";

function groupOf(...paths: string[]): WorkGroup {
  return { placeId: 1, paths, onAnswers: () => undefined, onBroken: () => undefined };
}

const pathsOf = (items: readonly WorkItem[]) => items.map(({ group, at }) => group.paths[at]);

describe("work queue", () => {
  test("gives files of several groups in the order in which they came", () => {
    const queue = new WorkQueue();
    queue.add(groupOf("a", "b"), 0);
    queue.add(groupOf("c", "d"), 0);
    expect(pathsOf(queue.take(Infinity, 3))).toEqual(["a", "b", "c"]);
    expect(pathsOf(queue.take(Infinity, 3))).toEqual(["d"]);
    expect(queue.take(Infinity, 3)).toEqual([]);
  });

  test("puts files back in front, and keeps their batches as small as they may be", () => {
    const queue = new WorkQueue();
    queue.add(groupOf("a", "b", "c", "d", "e"), 0);
    const batch = queue.take(Infinity, 4);
    for (const item of batch) item.limit = 2;
    queue.putBack(batch);
    expect(pathsOf(queue.take(Infinity, 8))).toEqual(["a", "b"]);
    expect(pathsOf(queue.take(Infinity, 8))).toEqual(["c", "d"]);
    expect(pathsOf(queue.take(Infinity, 8))).toEqual(["e"]);
  });

  test("lets one file alone where it may go in no batch", () => {
    const queue = new WorkQueue();
    queue.add(groupOf("a", "b"), 0);
    const batch = queue.take(Infinity, 2);
    for (const item of batch) item.limit = 1;
    queue.putBack(batch);
    expect(pathsOf(queue.take(Infinity, 8))).toEqual(["a"]);
  });

  test("forgets the files of a group that was withdrawn, and no other", () => {
    const queue = new WorkQueue();
    const gone = groupOf("a", "b");
    queue.add(gone, 0);
    queue.add(groupOf("c"), 0);
    queue.withdraw(gone);
    expect(pathsOf(queue.take(Infinity, 9))).toEqual(["c"]);
  });
});

describe("work queue of files that differ in length", () => {
  /** Files named by their bytes, in buckets of up to 10, up to 100, and more. */
  const bucketOf = (bytes: number) => (bytes <= 10 ? 10 : bytes <= 100 ? 100 : Infinity);
  const sized = (...bytes: number[]): WorkGroup => ({ ...groupOf(...bytes.map(String)), bytes });
  function queueOf(...bytes: number[]): WorkQueue {
    const queue = new WorkQueue();
    queue.arrange(bucketOf);
    queue.add(sized(...bytes), 0);
    return queue;
  }
  const taken = (queue: WorkQueue, rows: number) => {
    const next = queue.next(() => rows);
    return next === undefined ? undefined : pathsOf(queue.take(next.key, next.rows));
  };

  test("puts no short file beside a long one, and whole batches first", () => {
    const queue = queueOf(5, 50, 6, 500, 60, 70, 7);
    expect(queue.next(() => 3)).toMatchObject({ key: 10, rows: 3, isDue: true });
    expect([1, 2, 3, 4].map(() => taken(queue, 3))).toEqual([["5", "6", "7"], ["50", "60", "70"], ["500"], undefined]);
    expect(queue.isEmpty).toBe(true);
  });

  test("goes by the rows that each length may have", () => {
    const queue = queueOf(5, 500, 501, 6);
    const next = queue.next((key) => (key === Infinity ? 2 : 4));
    expect(next).toMatchObject({ key: Infinity, rows: 2, isDue: true });
  });

  test("lets what makes no whole batch wait, the oldest first once it need not", () => {
    const queue = queueOf(50, 5);
    expect(queue.next(() => 2)).toMatchObject({ key: 100, isDue: false });
    expect(taken(queue, 2)).toEqual(["50"]);
  });

  test("passes an old file over so many times, and no more", () => {
    const queue = queueOf();
    const before: unknown[] = [];
    queue.add(sized(501), 0);
    queue.add(sized(5, 6), 0);
    for (let next = taken(queue, 2); next?.[0] !== "501"; next = taken(queue, 2)) {
      before.push(next);
      queue.add(sized(5, 6), 0);
    }
    expect(before).toEqual(new Array(MOST_PASSED).fill(["5", "6"]));
  });

  test("keeps the order in which files came when lengths become known", () => {
    const queue = new WorkQueue();
    queue.add(sized(5, 50, 6), 0);
    queue.add(sized(60, 7), 0);
    queue.arrange(bucketOf);
    expect([1, 2].map(() => taken(queue, 9))).toEqual([
      ["5", "6", "7"],
      ["50", "60"],
    ]);
  });

  test("puts files back among those of their length, before younger ones", () => {
    const queue = queueOf(5, 50, 6, 7);
    const batch = queue.take(10, 2);
    for (const item of batch) item.limit = 1;
    queue.putBack(batch);
    expect([1, 2, 3, 4].map(() => taken(queue, 2))).toEqual([["5"], ["6"], ["50"], ["7"]]);
  });

  test("takes files of unknown size for long ones", () => {
    const queue = queueOf();
    queue.add(groupOf("a"), 0);
    expect(queue.next(() => 1)).toMatchObject({ key: Infinity });
  });
});
