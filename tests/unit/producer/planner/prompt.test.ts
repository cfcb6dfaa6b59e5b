import { describe, expect, test } from "vitest";
import { parseAllow, type AllowInput } from "../../../../src/contract/allow.ts";
import { createCheckPlan } from "../../../../src/producer/planner/check-plan.ts";
import { flowSchema } from "../../../../src/producer/planner/flow-schema.ts";
import { offerOf } from "../../../../src/producer/planner/offer.ts";
import { loadPrompt } from "../../../../src/producer/planner/prompt.ts";

const prompt = loadPrompt("v2");
const allow = {
  binaries: [{ path: "/usr/bin/wc" }],
  read: ["/data"],
  write: [],
  tools: "any",
  limits: { nodes: 9, cost_usd: 2 },
};
const agents = { default: { command: ["/opt/agent"] }, quick: { command: ["/opt/quick"] } };
const offer = offerOf(parseAllow(allow as AllowInput), { agents, profiles: { heavy: { cpu: 1, labels: [] } } });

describe("the prompt", () => {
  test("shows examples that are valid plans themselves", () => {
    expect(prompt.examples.length).toBeGreaterThan(1);
    for (const { goal, plan } of prompt.examples)
      expect(createCheckPlan({})(plan), goal).toMatchObject({ kind: "valid" });
  });

  test("says what is offered, the schema, the examples and the goal", () => {
    const [system, ask] = prompt.ask({ goal: "count {{ offer }} & <b>", offer, schema: { type: "object" } });
    expect(system?.role).toBe("system");
    expect(ask?.content).toContain(
      "- programs: /usr/bin/wc\n- folders to read: /data\n- folders to write: none\n- agent programs: default, quick\n- tools of agents: any",
    );
    expect(ask?.content).toContain('- profiles: default, heavy\n- variables for "env": none\n- network: none\n');
    expect(ask?.content).toContain("- limits of the flow: nodes 9, cost_usd 2\n");
    expect(ask?.content).toContain('{"type":"object"}');
    for (const { goal } of prompt.examples) expect(ask?.content).toContain(goal);
    // The goal is filled in and not filled out again.
    expect(ask?.content).toContain("----\ncount {{ offer }} & <b>\n----");
  });

  test("sends an answer back with each of its faults", () => {
    const faults = [
      { where: "nodes[0].id", expected: "a text", found: "7" },
      { where: "the answer", expected: "JSON", found: "{% prose %}" },
    ];
    const [answer, repair] = prompt.repair("my answer", faults);
    expect(answer).toEqual({ role: "assistant", content: "my answer" });
    expect(repair?.content).toContain(
      "- nodes[0].id: expected a text, found 7\n- the answer: expected JSON, found {% prose %}\n",
    );
  });

  test("fits into a small context with its schema", () => {
    const messages = prompt.ask({ goal: "x", offer, schema: flowSchema() });
    expect(messages.reduce((sum, { content }) => sum + content.length, 0)).toBeLessThan(20_000);
  });

  test("has the same hash as long as its words are the same", () => {
    expect(loadPrompt("v2").sha256).toBe(prompt.sha256);
    expect(() => loadPrompt("v0")).toThrow("prompts v0: expected a version of the prompts that is there");
  });
});
