import { describe, expect, test } from "vitest";
import { jobIds, runOfJobId } from "../../../../src/contract/queues.ts";
import { childRunId } from "../../../../src/platform/flow/child-run-id.ts";

describe("ids of the runs of nodes", () => {
  test("say the node, and differ wherever the places differ", () => {
    expect(childRunId("r1", "resize")).toBe("r1~resize");
    const ids = ["a", "a-b", "a/3", "a-3", "a_3"].map((path) => childRunId("r1", path));
    ids.push(...["b", "3", "b-3"].map((path) => childRunId(childRunId("r1", "a"), path)));
    ids.push(childRunId(childRunId("r1", "a/3"), "b"), childRunId(childRunId("r1", "a"), "b/3"));
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("stay names of files and of jobs however deep flows lie in one another", () => {
    let id = "0mwyo4hu051f32a4cb9";
    const seen = new Set<string>();
    for (let depth = 0; depth < 12; depth += 1) {
      id = childRunId(id, `${"n".repeat(60)}/${depth}`);
      seen.add(id);
      expect(id.length).toBeLessThanOrEqual(120);
      expect(runOfJobId(jobIds.chunk(id, 0, "7"))).toBe(id);
    }
    expect(seen.size).toBe(12);
  });
});
