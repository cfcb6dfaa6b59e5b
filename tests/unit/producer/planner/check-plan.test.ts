import { describe, expect, test } from "vitest";
import { parseAllow } from "../../../../src/contract/allow.ts";
import { InvalidInputError } from "../../../../src/contract/errors.ts";
import { createCheckPlan, type CheckPlan } from "../../../../src/producer/planner/check-plan.ts";

const agents = { default: { command: ["/bin/cat", "{prompt}"] }, gone: { command: ["gone"] } };
const programPath = (name: string) => {
  if (name !== "gone") return name;
  throw new InvalidInputError("command line", [{ where: "agents", expected: '"gone" on the PATH', found: "none" }]);
};
const planWith = (node: object) => ({
  version: 1,
  name: "p",
  nodes: [
    { id: "first", kind: "exec", command: ["/bin/true"] },
    { id: "a", kind: "agent", prompt: "x", ...node },
  ],
});
const faultsOf = (check: CheckPlan, node: object) => {
  const checked = check(planWith(node));
  return checked.kind === "valid" ? [] : checked.faults.map(({ where, expected, found }) => [where, expected, found]);
};

describe("the agents of a plan", () => {
  test("are those of the configuration, and are there, or go back with what is offered", () => {
    const check = createCheckPlan({}, {}, { agents, programPath });
    expect(faultsOf(check, {})).toEqual([]);
    expect(faultsOf(check, { program: "claud" })).toEqual([["nodes[1].program", "one of default, gone", '"claud"']]);
    expect(faultsOf(check, { program: "gone" })).toEqual([
      ["nodes[1].program", 'an agent whose program is there: "gone" on the PATH', "none"],
    ]);
    const none = createCheckPlan({}, {}, { agents: {}, programPath });
    expect(faultsOf(none, {})).toEqual([["nodes[1].program", "no agent: none is offered", '"default"']]);
  });

  test("are held to the binaries that are allowed", () => {
    const check = createCheckPlan(parseAllow({ binaries: ["/bin/true"] }), {}, { agents, programPath });
    expect(faultsOf(check, {})).toMatchObject([
      ["nodes[1].program", expect.stringContaining("allow.binaries"), expect.any(String)],
    ]);
  });
});

describe("the binaries of a plan that are named without a path", () => {
  const plan = (command: string[]) => ({ version: 1, name: "p", nodes: [{ id: "a", kind: "exec", command }] });
  const faults = (check: CheckPlan, ...command: string[]) => {
    const checked = check(plan(command));
    return checked.kind === "valid" ? [] : checked.faults.map(({ where, expected, found }) => [where, expected, found]);
  };

  test("are there, or go back to the planner with their place", () => {
    for (const allow of [{}, parseAllow({ binaries: "any" })]) {
      const check = createCheckPlan(allow, {}, { agents, programPath });
      expect(faults(check, "there", "x")).toEqual([]);
      expect(faults(check, "gone", "x")).toEqual([["nodes[0].command[0]", '"gone" on the PATH', "none"]]);
      expect(faults(check, "/not/looked/at")).toEqual([]);
    }
  });

  test("are refused by the rule alone where the operator names paths", () => {
    const check = createCheckPlan(parseAllow({ binaries: ["/bin/true"] }), {}, { agents, programPath });
    expect(faults(check, "gone")).toMatchObject([
      ["nodes[0].command[0]", expect.stringContaining("allow.binaries"), '"gone"'],
    ]);
  });
});
