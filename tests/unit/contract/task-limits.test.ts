import { describe, expect, test } from "vitest";
import { ANY, sandboxLevels, type Allow } from "../../../src/contract/allow.ts";
import type { TaskMessage } from "../../../src/contract/agents.ts";
import { InvalidInputError } from "../../../src/contract/errors.ts";
import { narrowAllow, narrowTask, taskOf } from "../../../src/contract/task-limits.ts";
import { seeded } from "../../support/seeded.ts";

type Constraints = TaskMessage["constraints"];

const open: Constraints = {
  ...{ tools: ["Read", "Write"], max_turns: 20, max_tokens: null, max_cost_usd: null },
  ...{ timeout_seconds: null, network: null, sandbox: null },
};

const task = (constraints: Partial<Constraints> = {}): TaskMessage => ({
  ...{ task_id: "r1/ask", parent_id: "r1", trace_id: "0af7651916cd43dd8448eb211c80319c" },
  constraints: { ...open, ...constraints },
});

describe("the task of an agent", () => {
  test("is read from its variable, and is not there outside agents", () => {
    expect(taskOf({ HEADROOM_TASK: JSON.stringify(task()) })).toEqual(task());
    expect(taskOf({})).toBeUndefined();
    expect(taskOf({ HEADROOM_TASK: "" })).toBeUndefined();
  });

  test("may come from a version before, which said nothing of network and sandbox", () => {
    const { network: _network, sandbox: _sandbox, ...constraints } = open;
    expect(taskOf({ HEADROOM_TASK: JSON.stringify({ ...task(), constraints }) })).toEqual(task());
  });

  test("carries on a trace of any form", () => {
    const own = { ...task(), trace_id: "order-4711" };
    expect(taskOf({ HEADROOM_TASK: JSON.stringify(own) })).toEqual(own);
  });

  test.each([
    ["no JSON", "tools: all", "HEADROOM_TASK"],
    ["another tool list", JSON.stringify(task({ tools: "any" as never })), "HEADROOM_TASK.constraints.tools"],
    ["no constraints", JSON.stringify({ ...task(), constraints: undefined }), "HEADROOM_TASK.constraints"],
  ])("with %s is refused: nothing is let through by a message that cannot be read", (_, text, where) => {
    expect(() => taskOf({ HEADROOM_TASK: text })).toThrow(InvalidInputError);
    expect(() => taskOf({ HEADROOM_TASK: text })).toThrow(where);
  });
});

describe("what an agent starts", () => {
  test("may use its tools alone, as far as the operator allows them", () => {
    expect(narrowAllow({}, task()).tools).toEqual(["Read", "Write"]);
    expect(narrowAllow({ tools: ANY }, task()).tools).toEqual(["Read", "Write"]);
    expect(narrowAllow({ tools: ["Bash", "Read"] }, task()).tools).toEqual(["Read"]);
  });

  test("has the tighter of both limits, and keeps all other rules", () => {
    const allow: Allow = { read: ["/in"], limits: { cost_usd: 5, total_seconds: 10, nodes: 7 } };
    expect(narrowAllow(allow, task({ max_cost_usd: 0.5, timeout_seconds: 60, max_tokens: 900 }))).toEqual({
      read: ["/in"],
      tools: ["Read", "Write"],
      limits: { cost_usd: 0.5, total_seconds: 10, nodes: 7, turns: 20, tokens: 900 },
    });
  });

  test("has no network where it has none, and is shut in as far as it is", () => {
    expect(narrowAllow({ network: true, sandbox: "files" }, task({ network: false, sandbox: "strict" }))).toMatchObject(
      {
        network: false,
        sandbox: "strict",
      },
    );
    expect(narrowAllow({ network: false, sandbox: "strict" }, task({ network: true, sandbox: "none" }))).toMatchObject({
      network: false,
      sandbox: "strict",
    });
  });

  test("is never allowed more than what started it, however deep", () => {
    const random = seeded(7);
    const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
    const some = <T>(value: T): T | null => (random() < 0.4 ? null : value);
    const names = ["Read", "Write", "Bash", "Web", "Edit"];
    for (let round = 0; round < 500; round += 1) {
      let allow: Allow = random() < 0.3 ? {} : { tools: names.filter(() => random() < 0.7), network: random() < 0.5 };
      for (let depth = 0; depth < 4; depth += 1) {
        const inner = narrowAllow(
          allow,
          task({
            tools: names.filter(() => random() < 0.6),
            max_turns: 1 + Math.floor(random() * 50),
            max_tokens: some(1 + Math.floor(random() * 1_000)),
            max_cost_usd: some(random()),
            timeout_seconds: some(1 + random() * 100),
            network: some(random() < 0.5),
            sandbox: some(pick(sandboxLevels)),
          }),
        );
        expectNarrower(inner, allow);
        allow = inner;
      }
    }
  });
});

function expectNarrower(inner: Allow, outer: Allow): void {
  const { tools } = inner;
  if (tools === undefined || tools === ANY) throw new Error("expected a list of tools");
  const before = outer.tools ?? ANY;
  if (before !== ANY) expect(tools.filter((tool) => !before.includes(tool))).toEqual([]);
  if (outer.network === false) expect(inner.network).toBe(false);
  const level = (allow: Allow) => (allow.sandbox === undefined ? -1 : sandboxLevels.indexOf(allow.sandbox));
  expect(level(inner)).toBeGreaterThanOrEqual(level(outer));
  for (const [name, limit] of Object.entries(outer.limits ?? {})) {
    const now: unknown = (inner.limits as Record<string, unknown> | undefined)?.[name];
    expect(now, name).toBeLessThanOrEqual(limit ?? Infinity);
  }
}

describe("a task of an agent that another agent started", () => {
  test("has no more of anything than that one", () => {
    const own = task({ tools: ["Read", "Bash"], max_turns: 50, max_tokens: 10, timeout_seconds: 60, network: true });
    const outer = { ...open, max_tokens: 900, max_cost_usd: 1, timeout_seconds: 30, sandbox: "strict", network: false };
    expect(narrowTask(own, outer as Constraints)).toEqual(
      task({
        ...{ tools: ["Read"], max_turns: 20, max_tokens: 10, max_cost_usd: 1 },
        ...{ timeout_seconds: 30, network: false, sandbox: "strict" },
      }),
    );
  });

  test("keeps what it has less of, and what neither says", () => {
    const own = task({ tools: ["Read"], max_turns: 3, sandbox: "strict" });
    expect(narrowTask(own, { ...open, sandbox: "files" })).toEqual(own);
  });
});
