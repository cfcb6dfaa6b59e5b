/** The specification of a call of a flow, whose common part is checked once for many. */
import { expect, test } from "vitest";
import { unrunEnd } from "../../../../src/contract/flow-run.ts";
import { flowNode } from "../../../../src/contract/flows.ts";
import { parseRunSpec } from "../../../../src/contract/run-request.ts";
import { execSpec } from "../../../../src/platform/flow/node-spec.ts";
import type { NodeWork } from "../../../../src/platform/flow/node-work.ts";

const about = {
  ...{ name: "f", inputs: {}, env: { ALL: "1" }, folder: "/runs/r", base: "/base", binaries: { tool: "/opt/tool" } },
  ...{ agents: {}, failFast: false, planSha256: "0".repeat(64), fresh: [] },
};

function work(id: string, written: object, outputs: readonly string[] = []): NodeWork {
  const ends = outputs.map((output, at) => [`n${at}`, { ...unrunEnd("succeeded", "for the test"), output }] as const);
  return {
    ...{ ref: { runId: "r", epoch: 0 }, about, path: id, traceId: "t", isNoop: false },
    node: flowNode.parse({ id, kind: "exec", ...written }),
    scope: { names: {} },
    ends: new Map(ends),
  };
}

test("calls that have most in common each have what is their own, and all of a specification that is checked whole", () => {
  const works = [
    work("a", { command: ["tool", "one", "{output}"], output: { name: "o" } }),
    work("b", { command: ["tool", "two", "{output}"], output: { name: "p" }, env: { OWN: "b" } }, ["/runs/r/a"]),
    work("c", { command: ["tool", "two", "{output}"], output: { name: "p" } }, ["/runs/r/a", "/runs/r/b"]),
    work("d", { command: ["tool", "three"] }),
    work("e", { command: ["tool", "four"], resources: { memory: "1GiB" } }),
  ];
  const specs = works.map((one) => execSpec(one));
  for (const spec of specs) expect(parseRunSpec(spec)).toEqual(spec);
  expect(specs.map(({ command }) => command.slice(0, 2))).toEqual([
    ["/opt/tool", "one"],
    ["/opt/tool", "two"],
    ["/opt/tool", "two"],
    ["/opt/tool", "three"],
    ["/opt/tool", "four"],
  ]);
  expect(specs.map(({ env }) => env)).toEqual([
    { ALL: "1" },
    { ALL: "1", OWN: "b" },
    { ALL: "1" },
    { ALL: "1" },
    { ALL: "1" },
  ]);
  expect(specs.map(({ reads }) => reads)).toEqual([
    undefined,
    ["/runs/r/a"],
    ["/runs/r/a", "/runs/r/b"],
    undefined,
    undefined,
  ]);
  expect(specs.map(({ output }) => [output.from, output.name])).toEqual([
    ["file", "a/o"],
    ["file", "b/p"],
    ["file", "c/p"],
    ["none", specs[3]?.output.name],
    ["none", specs[3]?.output.name],
  ]);
  expect(specs.map(({ resources }) => resources.memoryBytes === 2 ** 30)).toEqual([false, false, false, false, true]);
});

test("a call that reads more than a specification may name is refused", () => {
  const outputs = Array.from({ length: 10_001 }, (_, at) => `/runs/r/${at}`);
  expect(() => execSpec(work("a", { command: ["tool"] }, outputs))).toThrow(
    "reads: expected outputs of 10000 nodes at most, found 10001",
  );
});
