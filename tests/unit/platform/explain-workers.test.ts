import { expect, test } from "vitest";
import { GiB } from "../../../src/contract/resources.ts";
import { profileSetReasons } from "../../../src/platform/explain-workers.ts";

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
