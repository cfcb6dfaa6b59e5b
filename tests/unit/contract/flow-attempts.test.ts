import { describe, expect, test } from "vitest";
import type { FlowLimits } from "../../../src/contract/allow.ts";
import { cutAttempts, startsOf, USUAL_STARTS, writtenStarts } from "../../../src/contract/flow-attempts.ts";
import { checkFlow, type CheckedFlow } from "../../../src/contract/flow-check.ts";
import { startsWithin } from "../../../src/contract/flow-measure.ts";
import { flowFaults } from "../../../src/contract/flow-policy.ts";
import { defaultRetryRules, failureClasses, type FailureClass } from "../../../src/contract/outcomes.ts";

function flowOf(...nodes: object[]): CheckedFlow {
  const check = checkFlow({ version: 1, name: "f", nodes });
  if (check.kind === "faulty") throw new TypeError(JSON.stringify(check.faults));
  return check.flow;
}

const exec = (more: object = {}) => ({ id: "n", kind: "exec", command: ["/bin/true"], ...more });
const agent = (more: object = {}) => ({ id: "a", kind: "agent", prompt: "x", ...more });
const sight = { refusal: () => undefined };
const refused = (flow: CheckedFlow, limits: FlowLimits) =>
  flowFaults(flow, { limits }, sight).map(({ rule, found }) => `${rule} ${found}`);

describe("attempts", () => {
  test("are summed over the classes that a node writes", () => {
    const flow = flowOf(
      exec({ retry: { exit: { attempts: 3 }, timeout: { attempts: 2 }, signal: { backoff_ms: 1 } } }),
    );
    expect(writtenStarts(flow.byId.get("n")?.retry)).toBe(4);
    expect(refused(flow, { attempts: 4 })).toEqual([]);
    expect(refused(flow, { attempts: 3 })).toEqual(["allow.limits.attempts 4"]);
  });

  test("multiply money, turns, tokens and time, and what is left open is cut to what they leave", () => {
    const flow = flowOf(agent({ max_cost_usd: 1, max_tokens: 10, max_turns: 5, timeout_seconds: 60 }));
    expect(startsWithin(flow, {})).toBeUndefined();
    expect(startsWithin(flow, { cost_usd: 1 })).toBe(1);
    expect(startsWithin(flow, { cost_usd: 2.5 })).toBe(2);
    expect(startsWithin(flow, { tokens: 30 })).toBe(3);
    expect(startsWithin(flow, { turns: 5 })).toBe(1);
    expect(startsWithin(flow, { total_seconds: 240, cost_usd: 9 })).toBe(4);
    expect(startsWithin(flow, { attempts: 1 })).toBe(1);
    expect(startsWithin(flow, { cost_usd: 10 })).toBeUndefined();
    expect(refused(flow, { cost_usd: 1, turns: 5, tokens: 10, total_seconds: 60, attempts: 1 })).toEqual([]);
    const twice = flowOf(agent({ max_cost_usd: 1, retry: { exit: { attempts: 2 }, signal: { attempts: 2 } } }));
    expect(refused(twice, { cost_usd: 2 })).toEqual(["allow.limits.cost_usd 3"]);
  });

  test.each([1, 2, 3, 4, 7, 10, 50])("cut to %i really start no more, whatever fails", (most) => {
    for (const retry of [undefined, { exit: { attempts: 2 } }, { "node-lost": { attempts: 3 } }]) {
      const node = flowOf(exec(retry === undefined ? {} : { retry })).byId.get("n");
      if (node === undefined) throw new TypeError("expected a node");
      const cut = cutAttempts(node.retry, most);
      const of = (name: FailureClass) =>
        node.retry?.[name]?.attempts ?? cut.get(name) ?? defaultRetryRules[name].attempts;
      const counted = failureClasses.filter(
        (name) => node.retry?.[name] !== undefined || (name !== "node-lost" && name !== "infrastructure"),
      );
      const starts = counted.reduce((sum, name) => sum + of(name) - 1, 1);
      expect(starts).toBe(startsOf(node, most));
      expect(starts).toBeLessThanOrEqual(Math.max(most, writtenStarts(node.retry)));
    }
    expect(USUAL_STARTS).toBe(10);
  });
});
