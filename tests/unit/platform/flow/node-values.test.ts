import { expect, test } from "vitest";
import { unrunEnd } from "../../../../src/contract/flow-run.ts";
import { flowNode } from "../../../../src/contract/flows.ts";
import { evaluateExpression } from "../../../../src/platform/flow/expressions.ts";
import type { FlowState } from "../../../../src/platform/flow/flow-state.ts";
import { loadScope } from "../../../../src/platform/flow/node-values.ts";

test.each(["nodes.fan.items", 'nodes.fan["items"]', 'nodes["fan"]["items"]', "nodes.fan. items"])(
  "a node sees the entries of a fan-out however it names them: %s",
  async (items) => {
    const state: Pick<FlowState, "instances"> = {
      instances: (_id, count) =>
        Promise.resolve(Array.from({ length: count }, () => unrunEnd("succeeded", "for the test"))),
    };
    const node = flowNode.parse({
      id: "use",
      kind: "exec",
      needs: ["fan"],
      when: `size(${items}) > 0`,
      command: ["x"],
    });
    const about = { inputs: {}, folder: "/runs/r" } as unknown as Parameters<typeof loadScope>[2]["about"];
    const ends = new Map([["fan", { ...unrunEnd("succeeded", "for the test"), items: 2 }]]);
    const known = { ref: { runId: "r", epoch: 0 }, about, ends };
    const scope = await loadScope(state as FlowState, { node, index: 1, reads: ["fan"] }, known);
    expect(evaluateExpression(`size(${items})`, scope)).toEqual({ kind: "value", value: 2 });
  },
);
