/** Which calls go into one job, and that taking a specification apart loses nothing. */
import { describe, expect, test } from "vitest";
import { parseRunSpec } from "../../../../src/contract/run-request.ts";
import type { CallToAdd } from "../../../../src/platform/job-queues.ts";
import { groupCalls } from "../../../../src/platform/flow/call-groups.ts";
import { joinSpec, parseBase, parseOwn, splitSpec } from "../../../../src/platform/flow/call-spec.ts";

function call(index: number, more: { binary?: string; priority?: number; reads?: string[] } = {}): CallToAdd {
  const { binary = "/bin/echo", ...rest } = more;
  const output = { root: "/runs/artifacts", from: "stdout", name: `n${index}/o` };
  const input = { kind: "none", sha256: String(index) };
  const env = index % 2 === 0 ? {} : { WHICH: String(index) };
  return {
    path: `n${index}`,
    index,
    spec: parseRunSpec({ command: [binary, String(index)], env, input, output, ...rest }),
  };
}

const calls = Array.from({ length: 100 }, (_, at) => call(at));
const sizes = (groups: readonly (readonly CallToAdd[])[]) => groups.map((group) => group.length);

describe("calls that become ready together", () => {
  test("go together as far as they last 25 ms one after the other", () => {
    expect(sizes(groupCalls(calls, () => ({ ms: 1, group: 0, memoryBytes: 1 })))).toEqual([25, 25, 25, 25]);
    expect(sizes(groupCalls(calls, () => ({ ms: 0.01, group: 0, memoryBytes: 1 })))).toEqual([100]);
  });

  test("go alone when they are long, when nobody knows how long they are, and when nobody asks", () => {
    const alone = calls.map(() => 1);
    expect(sizes(groupCalls(calls, () => ({ ms: 25, group: 0, memoryBytes: 1 })))).toEqual(alone);
    expect(sizes(groupCalls(calls, () => ({ ms: undefined, group: 0, memoryBytes: 1 })))).toEqual(alone);
    expect(sizes(groupCalls(calls))).toEqual(alone);
  });

  test("go with their like alone: of one binary, one priority and about one need of memory", () => {
    const mixed = calls.map((_, at) => call(at, { priority: at % 2, binary: at % 3 === 0 ? "/bin/cat" : "/bin/echo" }));
    const groups = groupCalls(mixed, ({ index }) => ({ ms: 0.01, group: index % 5, memoryBytes: index }));
    for (const group of groups) {
      expect(new Set(group.map(({ spec, index }) => `${spec.command[0]} ${spec.priority} ${index % 5}`)).size).toBe(1);
      // Room for the first is room for each.
      expect(group[0]?.index).toBe(Math.max(...group.map(({ index }) => index)));
    }
    expect(groups.flat()).toHaveLength(100);
  });
});

test("a specification that was taken apart is put together as it was", () => {
  for (const { spec } of [...calls, call(7, { reads: ["/a", "/b"] })]) {
    const { base, own } = splitSpec(spec);
    expect(joinSpec(parseBase(base), parseOwn(JSON.stringify(own)))).toEqual(spec);
  }
});
