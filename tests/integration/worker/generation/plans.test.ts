/** Whatever a model says: what it writes by the schema for planners is a flow by the schema of flows. */
import { expect, test } from "vitest";
import { exportDecoder } from "../../../../scripts/models/llama/export.ts";
import { randomWeights } from "../../../../scripts/models/llama/safetensors.ts";
import { flowDocument } from "../../../../src/contract/flows.ts";
import { extractPlan } from "../../../../src/producer/planner/extract-plan.ts";
import { planSchema } from "../../../../src/producer/planner/plan-schema.ts";
import type { PlanOffer } from "../../../../src/producer/planner/planner.ts";
import { openOnnx } from "../../../support/onnx-session.ts";
import { seeded } from "../../../support/seeded.ts";
import { generatorOf, tinyLlamaConfig } from "../../../support/small-llama.ts";

const tiny = { ...tinyLlamaConfig, max_position_embeddings: 16_384 };
const offer: PlanOffer = {
  ...{ binaries: ["/usr/bin/wc", "/usr/bin/sort"], read: ["/data"], write: "any", tools: ["Read"], models: "any" },
  ...{ agents: ["claude"], profiles: ["default", "gpu"], variables: [], network: true, limits: { nodes: 3 } },
};

test("100 plans of models with random weights are valid flows, of the programs that are offered", async () => {
  const goals = ["", "count the lines", "x", "digests of all files, then a count", "{}"];
  const schema = planSchema(offer, { nodes: 8, words: 3, chars: 8 });
  const kinds = new Set<string>();
  let plans = 0;
  let declined = 0;
  for (let seed = 1; plans < 100; seed++) {
    expect(seed, `${plans} plans, ${declined} declined`).toBeLessThan(100);
    const session = await openOnnx(
      exportDecoder(randomWeights(tiny, seeded(seed)), tiny, { attention: "plain", logits: "all" }),
    );
    const generator = generatorOf(session, schema, tiny);
    expect(generator.method).toBe("grammar");
    for (const { text } of await generator.answer(goals.map((goal) => generator.promptOf(goal)))) {
      const found = extractPlan(text);
      if (found.kind === "declined") {
        declined++;
        continue;
      }
      if (found.kind === "faulty") throw new Error(`expected a plan, found ${text}`);
      const { nodes } = flowDocument.parse(found.written);
      expect(nodes.length).toBeLessThanOrEqual(3);
      for (const node of nodes) {
        kinds.add(node.kind);
        if (node.kind === "exec" || node.kind === "files") expect(offer.binaries).toContain(node.command[0]);
      }
      plans++;
    }
  }
  expect(kinds.size).toBeGreaterThanOrEqual(2);
});
