/**
 * A thousand plans that ask for what they may not have, or are broken. None may be accepted, and each refusal of the policy
 * names its rule. What a plan asks for is judged here by an oracle of its own, which shares no code with the engine: it
 * knows from how a plan was made which rule it breaks. A second test makes plans at random, good ones among them, and has
 * the oracle read each one that was accepted, text by text.
 *
 * Out of scope: arguments of allowed binaries. An allowed `cp` copies what it is told.
 */
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { checkFlow } from "../../../../src/contract/flow-check.ts";
import { policyFaults } from "../../../../src/platform/flow/flow-policy-gate.ts";
import { InvalidInputError, PolicyError } from "../../../../src/contract/errors.ts";
import { createCheckPlan } from "../../../../src/producer/planner/check-plan.ts";
import { planGoal, type PlanEvent } from "../../../../src/producer/planner/plan-goal.ts";
import { loadPrompt } from "../../../../src/producer/planner/prompt.ts";
import { FlowCluster } from "../../../support/flow-cluster.ts";
import { createPlans, createWorld, drawOf, type Attack, type Written } from "../../../support/hostile-plans.ts";
import { questionOf, says, ScriptedPlanner } from "../../../support/scripted-planner.ts";
import { SteppedClock } from "../../../support/stepped-clock.ts";
import { makeTempFolder } from "../../../support/temp-folder.ts";

const PLANS = 1_000;

const folder = makeTempFolder();
const world = createWorld(folder.path);
const { exec, flow, files, families } = createPlans(world);

afterAll(() => {
  folder[Symbol.dispose]();
});

/** What became of a plan: accepted, or refused by rules; "flow" stands for what is no flow. */
function verdictOf({ plan, files: nested = {} }: Pick<Attack, "plan" | "files">): readonly string[] {
  const checked = checkFlow(plan, nested);
  if (checked.kind === "faulty") {
    for (const { where, expected, found } of checked.faults) expect([where, expected, found].every(Boolean)).toBe(true);
    return ["flow"];
  }
  const faults = policyFaults(checked.flow, world.allow, { inputs: {} });
  for (const { rule, where, expected, found } of faults) {
    expect(rule).toMatch(/^allow\.[a-z_.]+$/);
    expect(`${where} ${expected} ${found}`).toContain(rule);
  }
  return faults.map(({ rule }) => rule);
}

/** The attacks, one of each family after the other. */
function attackAt(at: number): Attack & { readonly title: string } {
  const names = Object.keys(families);
  const name = names[at % names.length] ?? "";
  const attack = families[name]?.(drawOf(at));
  if (attack === undefined) throw new TypeError("expected a family");
  return { ...attack, title: `${name} (${at})` };
}

/** What came back from a planner's plan, when it was refused. */
async function refusalOf(plan: unknown) {
  const events: PlanEvent[] = [];
  const ended = await planGoal(
    questionOf({ calls: 1 }),
    {
      ...{ planner: new ScriptedPlanner(says(JSON.stringify(plan))), plannerName: "p", prompt: loadPrompt("v2") },
      ...{ check: createCheckPlan(world.allow), clock: new SteppedClock() },
      onEvent: (event) => events.push(event),
    },
    new AbortController().signal,
  );
  return { ended, faults: events.flatMap((event) => (event.kind === "refused" ? event.faults : [])) };
}

/** A text for each input that must be given. */
function evilInputs(plan: Written): Record<string, string> {
  const inputs = Object.entries((plan["inputs"] ?? {}) as Record<string, { default?: unknown }>);
  return Object.fromEntries(
    inputs.flatMap(([name, { default: usual }]) => (usual === undefined ? [[name, "evil"]] : [])),
  );
}

describe("of a thousand hostile or broken plans", () => {
  test("none is taken from a planner; what goes back names each rule and its place", async () => {
    const through: string[] = [];
    for (let at = 0; at < PLANS; at += 1) {
      const { plan, files: nested, rule, title } = attackAt(at);
      const { ended, faults } = await refusalOf(plan);
      // A plan names no other files, so one with files is refused for naming them.
      const isRefused =
        ended.kind === "stopped" &&
        faults.length > 0 &&
        faults.every(({ where, expected, found }) => [where, expected, found].every((text) => text !== "")) &&
        (rule === undefined ||
          nested !== undefined ||
          // Such a plan is looked at no further.
          faults.every(({ expected }) => expected === "characters that can be seen") ||
          faults.some(({ expected }) => expected.includes(rule)));
      if (!isRefused) through.push(`${title}: ${ended.kind} ${JSON.stringify(faults)}`);
    }
    expect(through).toEqual([]);
  }, 120_000);

  test("none is started by a client under the policy, and nothing of one is left in Redis or in the store", async () => {
    await using cluster = await FlowCluster.open(0);
    const client = await cluster.clientWith(world.allow);
    const keysBefore = await cluster.redis.keys("*");
    const out = `${world.root}/out`;
    const through: string[] = [];
    for (let at = 0; at < PLANS; at += 1) {
      const { plan, files: nested = {}, rule, title } = attackAt(at);
      const checked = checkFlow(plan, nested);
      const started =
        checked.kind === "faulty"
          ? client.flows.run(plan as never, { folder: out })
          : client.flows.runChecked(checked.flow, { folder: out, inputs: evilInputs(plan as Written) });
      const error: unknown = await started.then(
        () => undefined,
        (refused: unknown) => refused,
      );
      const isRefused =
        rule === undefined
          ? error instanceof InvalidInputError
          : error instanceof PolicyError && error.faults.some(({ expected }) => expected.includes(rule));
      if (!isRefused) through.push(`${title}: ${String(error)}`);
    }
    await client.close();
    expect(through).toEqual([]);
    expect(await cluster.store.runs.open({ limit: 10 })).toEqual([]);
    expect(
      (await cluster.redis.keys("*")).filter((key) => !keysBefore.includes(key) && !key.includes("leader")),
    ).toEqual([]);
  }, 120_000);

  test("none is accepted, and each refusal names its rule", () => {
    const tally = new Map<string, number>();
    const through: string[] = [];
    for (let at = 0; at < PLANS; at += 1) {
      const attack = attackAt(at);
      const name = attack.title;
      const verdict = verdictOf(attack);
      if (verdict.includes(attack.rule ?? "flow")) tally.set(name, (tally.get(name) ?? 0) + 1);
      else through.push(`${name} (${at}): [${verdict.join()}] ${JSON.stringify(attack.plan).slice(-300)}`);
    }
    expect(through).toEqual([]);
    expect([...tally.values()].reduce((sum, count) => sum + count, 0)).toBe(PLANS);
    expect(({} as Written)["kind"]).toBeUndefined();
  }, 120_000);

  test("the same plans without what is bad in them are accepted", () => {
    const good = [
      flow([exec("a"), exec("b", { needs: ["a"], command: [world.tool, "${nodes.a.outcome}"] })]),
      flow([files(`${world.data}/in`)]),
      flow([files(`${world.data}/\${inputs.x}/in`)], { inputs: { x: {} } }),
      flow([exec("a", { output: { name: "o" } }), { ...files("${nodes.a.output}"), needs: ["a"] }]),
      flow([files("${run.folder}/x")]),
      flow([{ id: "m", kind: "infer", model: `${world.models}/good`, input: world.data, timeout_seconds: 10 }]),
      flow([
        {
          id: "a",
          kind: "agent",
          prompt: "rm -rf /; ${run.id}",
          tools: ["search"],
          timeout_seconds: 10,
          max_cost_usd: 5,
        },
      ]),
      flow([
        exec("a", {
          env: { LANG: "C" },
          sandbox: "strict",
          network: false,
          foreach: "[1]",
          max_items: 20,
          retry: { exit: { attempts: 3 } },
          resources: { memory: "1GiB" },
        }),
      ]),
      flow([{ id: "s", kind: "flow", file: "x.yaml" }]),
    ];
    for (const plan of good)
      expect([JSON.stringify(plan), verdictOf({ plan, files: { "x.yaml": flow([exec("x")]) } })]).toEqual([
        JSON.stringify(plan),
        [],
      ]);
  });
});

/** Reads a plan that was accepted, with nothing of the engine: the texts of it that lead out. */
function asksForMore(plan: Written): string[] {
  return (plan["nodes"] as Written[]).flatMap((node) => {
    const [binary] = node["command"] as string[];
    const { input } = node as { readonly input?: string };
    return [
      ...(binary === world.tool ? [] : [`binary ${binary ?? ""}`]),
      ...(input === undefined || staysIn(input) ? [] : [input]),
    ];
  });
}

function staysIn(input: string): boolean {
  if (input.split("/").includes("..")) return false;
  if (/^\$\{(run\.folder|nodes\.[a-z0-9_]+\.output)\}(\/|$)/.test(input)) return true;
  const known = input.split("${")[0] ?? "";
  if (known.startsWith(`${world.data}/link`)) return false;
  return known.startsWith(`${world.data}/`) || input === world.data;
}

test("no plan made at random is accepted that asks for more", () => {
  const word = fc.constantFrom(
    "..",
    ".",
    "link",
    "in",
    "data",
    "-evil",
    "${inputs.x}",
    "${run.folder}",
    "${nodes.a.output}",
    "",
    "x y",
    "a\u0301",
    "~",
    "%2e%2e",
    "$HOME",
    "\u2024\u2024",
  );
  const lead = fc.constantFrom(
    () => world.data,
    () => world.root,
    () => "",
    () => "/",
    () => world.tool,
    () => "${nodes.a.output}",
    () => "${run.folder}",
  );
  const path = fc.tuple(lead, fc.array(word, { maxLength: 5 }), fc.constantFrom("/", "")).map(
    ([first, words, sign]) =>
      () =>
        [first(), ...words].join(sign),
  );
  const binary = fc.oneof({ weight: 3, arbitrary: fc.constant(() => world.tool) }, path);
  let accepted = 0;
  fc.assert(
    fc.property(fc.array(fc.tuple(binary, path), { minLength: 1, maxLength: 3 }), (nodes) => {
      const plan = flow(
        [
          exec("a", { output: { name: "o" } }),
          ...nodes.map(([program, input], at) => ({
            ...files(input()),
            id: `f${at}`,
            command: [program(), "{input}"],
            needs: ["a"],
          })),
        ],
        { inputs: { x: {} } },
      );
      if (verdictOf({ plan }).length > 0) return;
      accepted += 1;
      expect(asksForMore(plan)).toEqual([]);
    }),
    { numRuns: 3_000, seed: 20 },
  );
  // A test that accepts nothing would prove nothing.
  expect(accepted).toBeGreaterThan(100);
}, 120_000);
