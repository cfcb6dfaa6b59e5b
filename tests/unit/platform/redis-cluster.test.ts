import { expect, test } from "vitest";
import { MOVED_ANSWER, ownerOf } from "../../../src/platform/redis-cluster.ts";

const asked = { host: "seed", port: 7_000 };
const slots = [
  [0, 99, ["", 7_000, "id"], ["b", 7_001, "id"]],
  [100, 16_000, ["c", 7_002, "id"]],
];

test("the owner of a slot is the first node of its range; a node that has no name is the one that was asked", () => {
  expect(ownerOf(99, slots, asked).owner).toEqual({ host: "seed", port: 7_000 });
  expect(ownerOf(100, slots, asked)).toEqual({
    owner: { host: "c", port: 7_002 },
    nodes: [
      { host: "seed", port: 7_000 },
      { host: "b", port: 7_001 },
      { host: "c", port: 7_002 },
    ],
  });
});

test("a slot that nobody has is told", () => {
  expect(() => ownerOf(16_001, slots, asked)).toThrow("no node has slot 16001");
});

test.each([
  ["MOVED 1 127.0.0.1:7000", true],
  ["TRYAGAIN Multiple keys request during rehashing of slot", true],
  ["CLUSTERDOWN The cluster is down", true],
  ["MOVEDNOT", false],
  ["ERR MOVED", false],
])("%j says that keys are elsewhere: %j", (message, isElsewhere) => {
  expect(MOVED_ANSWER.test(message)).toBe(isElsewhere);
});
