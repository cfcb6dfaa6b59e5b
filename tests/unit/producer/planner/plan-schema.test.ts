import { describe, expect, test } from "vitest";
import { parseAnswerSchema } from "../../../../src/contract/answer-schema.ts";
import { FaultsError } from "../../../../src/contract/errors.ts";
import { flowSchema } from "../../../../src/producer/planner/flow-schema.ts";
import { planSchema } from "../../../../src/producer/planner/plan-schema.ts";
import type { PlanOffer } from "../../../../src/producer/planner/planner.ts";

const closed: PlanOffer = {
  ...{ binaries: [], read: [], write: [], tools: [], models: [], agents: [], profiles: [], variables: [] },
  ...{ network: false, limits: {} },
};
const open: PlanOffer = {
  ...{ binaries: "any", read: "any", write: "any", tools: "any", models: "any", variables: "any" },
  ...{ agents: ["claude"], profiles: ["default", "gpu"], network: true, limits: { nodes: 3 } },
};
const sizes = { nodes: 8, words: 12, chars: 160 };
const largest = { nodes: 64, words: 64, chars: 4_000 };

const kindsOf = (offer: PlanOffer) =>
  [...JSON.stringify(planSchema(offer, sizes)).matchAll(/"const":"(\w+)"/g)].map(([, kind]) => kind);

describe("the schema of plans", () => {
  test("has an end everywhere, which the schema of flows has not", () => {
    expect(() => parseAnswerSchema(flowSchema())).toThrow(FaultsError);
    for (const offer of [closed, open]) {
      for (const size of [sizes, largest])
        expect(parseAnswerSchema(planSchema(offer, size))).toMatchObject({ kind: "any" });
    }
  });

  test("has the kinds of nodes for which something is offered, and no other flow files", () => {
    expect(kindsOf(closed)).toEqual(["gate"]);
    expect(kindsOf(open)).toEqual(["exec", "files", "infer", "agent", "gate"]);
    expect(kindsOf({ ...closed, binaries: ["/usr/bin/wc"] })).toEqual(["exec", "files", "gate"]);
  });

  test("has what the policy lists as a list, and as many nodes as it allows", () => {
    const schema = planSchema({ ...open, binaries: ["/usr/bin/wc"], tools: ["Read"] }, sizes);
    expect(schema["$defs"]).toMatchObject({
      id: { enum: ["step1", "step2", "step3"] },
      command: { prefixItems: [{ enum: ["/usr/bin/wc"] }] },
    });
    const text = JSON.stringify(schema);
    expect(text).toContain('"tools":{"type":"array","items":{"enum":["Read"]},"maxItems":1}');
    expect(text).toContain('"program":{"enum":["claude"]}');
    expect(text).toContain('"profile":{"enum":["default","gpu"]}');
    expect(text).toContain('"network":{"type":"boolean"}');
    expect(JSON.stringify(planSchema(closed, sizes))).not.toMatch(/"network"|"profile"|"command"/);
  });
});
