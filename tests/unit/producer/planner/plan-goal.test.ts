import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { callFailures, type Planner, type PlanUsage } from "../../../../src/producer/planner/planner.ts";
import { createCheckPlan } from "../../../../src/producer/planner/check-plan.ts";
import { planGoal, type PlanEvent, type PlanQuestion } from "../../../../src/producer/planner/plan-goal.ts";
import { loadPrompt } from "../../../../src/producer/planner/prompt.ts";
import { parsePlan, planText } from "../../../../src/platform/plan-file.ts";
import { hostileAnswers, planOf } from "../../../support/plan-texts.ts";
import { questionOf, says, ScriptedPlanner, type Scripted } from "../../../support/scripted-planner.ts";
import { SteppedClock } from "../../../support/stepped-clock.ts";

const allow = { binaries: [{ path: "/usr/bin/true" }] };
const prompt = loadPrompt("v2");
const good = JSON.stringify(planOf());

function open(planner: Planner, question: PlanQuestion = questionOf()) {
  const clock = new SteppedClock();
  const events: PlanEvent[] = [];
  const deps = {
    planner,
    plannerName: "p",
    prompt,
    check: createCheckPlan(allow),
    clock,
    onEvent: (event: PlanEvent) => events.push(event),
    random: () => 0,
  };
  const controller = new AbortController();
  return { clock, events, controller, outcome: planGoal(question, deps, controller.signal) };
}

const kinds = (events: readonly PlanEvent[]) => events.map(({ kind }) => kind);

describe("planning a goal", () => {
  test("keeps the plan of a good answer, with what it cost and where it came from", async () => {
    const { outcome, events } = open(new ScriptedPlanner(says(good)));
    const ended = await outcome;
    if (ended.kind !== "accepted") throw new Error(ended.kind);
    expect(ended.plan).toMatchObject({
      goal: "say hello",
      planner: { name: "p", kind: "scripted", model: "script" },
      prompt: { version: "v2", sha256: prompt.sha256 },
      spent: { calls: 1, repairs: 0, inputTokens: 100, outputTokens: 10, costUsd: 0.01 },
      graph: { name: "a plan", nodes: [{ id: "only", kind: "exec", command: ["/usr/bin/true"] }] },
    });
    expect(parsePlan(planText(ended.plan), "here")).toEqual(ended.plan);
    expect(kinds(events)).toEqual(["asked", "answered", "accepted"]);
  });

  test("sends faults back, with the answer that had them, until the plan is good", async () => {
    const planner = new ScriptedPlanner(says("well…"), says(good.replace("exec", "shell")), says(good));
    const { outcome, events } = open(planner);
    expect(await outcome).toMatchObject({ kind: "accepted", plan: { spent: { calls: 3, repairs: 2, costUsd: 0.03 } } });
    expect(kinds(events)).toEqual([
      ...["asked", "answered", "refused"],
      ...["asked", "answered", "refused"],
      ...["asked", "answered", "accepted"],
    ]);
    const [first, second, third] = planner.requests;
    expect(first?.messages.map(({ role }) => role)).toEqual(["system", "user"]);
    expect(second?.messages.at(-1)?.content).toContain("- the answer: expected a plan: one JSON object with nodes");
    expect(third?.faults).toMatchObject([{ where: "nodes[0].kind", found: '"shell"' }]);
    expect(third?.messages.at(-2)).toEqual({ role: "assistant", content: good.replace("exec", "shell") });
    // The last answer alone goes back: a question does not grow with every repair.
    expect(third?.messages).toHaveLength(4);
  });

  test("gives up after the repairs, with what was wrong at the end", async () => {
    const { outcome, events } = open(new ScriptedPlanner(says("a"), says("b"), says("c")), questionOf({}, 2));
    expect(await outcome).toMatchObject({
      kind: "stopped",
      cause: "refused",
      faults: [{ where: "repairs" }, { where: "the answer" }],
      spent: { calls: 3, repairs: 2 },
    });
    expect(kinds(events).at(-1)).toBe("stopped");
  });

  test("takes a planner at its word that it cannot be done", async () => {
    const { outcome } = open(new ScriptedPlanner(says('{"impossible":"no such program"}')));
    expect(await outcome).toMatchObject({ kind: "declined", why: "no such program", spent: { calls: 1 } });
  });

  test("makes a call again that failed in passing, after a pause, and still knows the faults from before", async () => {
    const down: Scripted = { kind: "failed", failure: "throttled", message: "later", retryAfterMs: 5_000 };
    const planner = new ScriptedPlanner(says("prose"), down, says(good));
    const { outcome, clock, events } = open(planner);
    await expect.poll(() => kinds(events).at(-1)).toBe("waiting");
    clock.pass(5_000);
    expect(await outcome).toMatchObject({ kind: "accepted", plan: { spent: { calls: 3, repairs: 1 } } });
    expect(planner.requests[2]?.faults).toMatchObject([{ where: "the answer" }]);
    expect(events).toContainEqual({ kind: "waiting", waitMs: 5_000 });
  });

  test.each(Object.entries(callFailures).filter(([, { isPassing }]) => !isPassing))(
    "ends at a failure of the kind %s, which no second call would mend",
    async (failure) => {
      const reply = { kind: "failed", failure: failure as keyof typeof callFailures, message: "no" } as const;
      const { outcome } = open(new ScriptedPlanner(reply, says(good)));
      expect(await outcome).toMatchObject({ kind: "stopped", cause: "unavailable", spent: { calls: 1 } });
    },
  );

  test("holds the budget of calls across repairs and failures", async () => {
    const down: Scripted = { kind: "failed", failure: "unknown-format", message: "no" };
    const planner = new ScriptedPlanner(says("a"), down, says("b"), says(good));
    const { outcome } = open(planner, questionOf({ calls: 3 }));
    expect(await outcome).toMatchObject({ kind: "stopped", cause: "budget", faults: [{ where: "budget.calls" }, {}] });
    expect(planner.requests).toHaveLength(3);
  });

  test("exceeds the budgets of tokens and money by the call under way at most", async () => {
    const dear = { inputTokens: 600, outputTokens: 10, costUsd: 0.6 };
    for (const budget of [{ tokens: 1_000 }, { usd: 1 }]) {
      const planner = new ScriptedPlanner(says("a", dear), says("b", dear), says(good, dear));
      expect(await open(planner, questionOf(budget)).outcome).toMatchObject({ cause: "budget", spent: { calls: 2 } });
    }
  });

  test("holds the budget of tokens when calls are too slow to tell what they used", async () => {
    const slow: Scripted = { kind: "failed", failure: "slow", message: "no answer" };
    const planner = new ScriptedPlanner(slow, slow, says(good));
    const { outcome, clock, events } = open(planner, questionOf({ tokens: 100_000 }));
    await expect.poll(() => kinds(events).at(-1)).toBe("waiting");
    clock.pass(500);
    expect(await outcome).toMatchObject({ cause: "budget", faults: [{ where: "budget.tokens" }, {}] });
    const [first, second] = planner.requests.map(({ maxOutputTokens }) => maxOutputTokens);
    expect([first, planner.requests.length]).toEqual([65_536, 2]);
    expect(second).toBeLessThan(100_000 - 65_536);
  });

  test("exceeds no budget by more than the call under way, whatever is answered, repaired and asked at once", async () => {
    const used = fc.record({
      inputTokens: fc.integer({ min: 0, max: 400 }),
      outputTokens: fc.integer({ min: 0, max: 400 }),
      costUsd: fc.integer({ min: 0, max: 4 }).map((dimes) => dimes / 10),
    });
    const reply = fc.oneof(
      { weight: 6, arbitrary: used.map((usage): Scripted => says("prose", usage)) },
      { weight: 3, arbitrary: used.map((usage): Scripted => says(good.replace("exec", "shell"), usage)) },
      { weight: 1, arbitrary: used.map((usage): Scripted => says(good, usage)) },
      // The only failure that is asked again without a pause.
      { weight: 2, arbitrary: fc.constant<Scripted>({ kind: "failed", failure: "unknown-format", message: "no" }) },
    );
    const goal = fc.record({
      script: fc.array(reply, { minLength: 20, maxLength: 20 }),
      budget: fc.record({
        calls: fc.integer({ min: 1, max: 12 }),
        tokens: fc.integer({ min: 1, max: 3_000 }),
        usd: fc.integer({ min: 1, max: 30 }).map((dimes) => dimes / 10),
      }),
      repairs: fc.integer({ min: 0, max: 15 }),
    });
    const endings = new Set<string>();
    await fc.assert(
      fc.asyncProperty(fc.array(goal, { minLength: 1, maxLength: 8 }), async (goals) => {
        const ended = goals.map(async ({ script, budget, repairs }) => {
          const planner = new ScriptedPlanner(...script);
          const outcome = await open(planner, questionOf(budget, repairs)).outcome;
          const replies = script.slice(0, planner.requests.length) as { usage?: PlanUsage }[];
          return { budget, repairs, outcome, spent: replies.map(({ usage }) => usage) };
        });
        for (const { budget, repairs, outcome, spent } of await Promise.all(ended)) {
          endings.add(outcome.kind === "stopped" ? outcome.cause : outcome.kind);
          const before = spent.slice(0, -1);
          const sum = (of: (usage: PlanUsage) => number) =>
            before.reduce((all, usage) => all + (usage === undefined ? 0 : of(usage)), 0);
          expect(spent.length).toBeLessThanOrEqual(budget.calls);
          expect(sum(({ inputTokens, outputTokens }) => inputTokens + outputTokens)).toBeLessThan(budget.tokens);
          expect(sum(({ costUsd }) => costUsd ?? 0)).toBeLessThan(budget.usd);
          const told = outcome.kind === "accepted" ? outcome.plan.spent : outcome.spent;
          expect(told.calls).toBe(spent.length);
          expect(told.repairs).toBeLessThanOrEqual(repairs);
        }
      }),
      { numRuns: 300, seed: 5 },
    );
    // A test in which no budget runs out would prove nothing.
    expect([...endings].toSorted()).toEqual(["accepted", "budget", "refused"]);
  });

  test("tells the planner how much it may still write", async () => {
    const planner = new ScriptedPlanner(says("a", { inputTokens: 900, outputTokens: 50, costUsd: 0 }), says(good));
    await open(planner, questionOf({ tokens: 2_000 })).outcome;
    expect(planner.requests.map(({ maxOutputTokens }) => maxOutputTokens)).toEqual([2_000, 1_050]);
  });

  test("ends a call that takes too long, and then the whole when its time is over", async () => {
    const hangs: Scripted = (_request, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => {
          reject(signal.reason as Error);
        });
      });
    const { outcome, clock, events } = open(
      new ScriptedPlanner(hangs, hangs, says(good)),
      questionOf({ seconds: 100 }),
    );
    await expect.poll(() => clock.sleeping).toBe(1);
    clock.pass(60_000);
    await expect.poll(() => kinds(events).at(-1)).toBe("waiting");
    clock.pass(500);
    await expect.poll(() => kinds(events).at(-1)).toBe("asked");
    clock.pass(39_500);
    expect(await outcome).toMatchObject({
      kind: "stopped",
      cause: "budget",
      faults: [{ where: "budget.seconds" }, {}],
    });
    expect(events).toContainEqual({ kind: "failed", call: 1, failure: "slow", message: "no answer in 60000 ms" });
    expect(clock.slept).toEqual([60_000, 500, 39_500]);
    expect(clock.sleeping).toBe(0);
  });

  test("ends with the reason when it is interrupted, in a call and in a pause", async () => {
    const hangs: Scripted = (_request, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => {
          reject(signal.reason as Error);
        });
      });
    const inCall = open(new ScriptedPlanner(hangs));
    await expect.poll(() => kinds(inCall.events)).toEqual(["asked"]);
    inCall.controller.abort(new Error("enough"));
    await expect(inCall.outcome).rejects.toThrow("enough");
    const inPause = open(new ScriptedPlanner({ kind: "failed", failure: "broken", message: "x" }));
    await expect.poll(() => kinds(inPause.events).at(-1)).toBe("waiting");
    inPause.controller.abort(new Error("enough"));
    await expect(inPause.outcome).rejects.toThrow();
    expect(inPause.clock.sleeping).toBe(0);
  });

  test("counts a planner that throws as a failed call", async () => {
    const throws: Scripted = () => Promise.reject(new Error("a slip"));
    const { outcome, events, clock } = open(new ScriptedPlanner(throws, says(good)));
    await expect.poll(() => kinds(events).at(-1)).toBe("waiting");
    clock.pass(1_000);
    expect(await outcome).toMatchObject({ kind: "accepted" });
    expect(events).toContainEqual({ kind: "failed", call: 1, failure: "broken", message: "a slip" });
  });
});

describe("hostile answers", () => {
  const answers = hostileAnswers();

  test("are more than two hundred", () => {
    expect(answers.length).toBeGreaterThan(200);
  });

  test("are all refused or declined, each with a fault that says where, and none is accepted", async () => {
    for (const { title, text } of answers) {
      const { outcome, events } = open(new ScriptedPlanner(says(text)), questionOf({ calls: 1 }));
      const ended = await outcome;
      expect(ended.kind, title).toBe("stopped");
      const refused = events.find(({ kind }) => kind === "refused");
      expect(refused, title).toMatchObject({ call: 1 });
      if (refused?.kind !== "refused") continue;
      expect(refused.faults.length, title).toBeGreaterThan(0);
      for (const { where, expected, found } of refused.faults) {
        expect(
          [where, expected, found].every((part) => part.length > 0 && part.length < 1_000),
          title,
        ).toBe(true);
      }
    }
    expect(Object.prototype).not.toHaveProperty("polluted");
  });

  test("keep nothing from a good one that follows", async () => {
    for (const { title, text } of answers.filter((_, at) => at % 10 === 0)) {
      const { outcome } = open(new ScriptedPlanner(says(text), says(good)));
      const ended = await outcome;
      expect(ended, title).toMatchObject({ kind: "accepted", plan: { graph: { name: "a plan" } } });
    }
  });
});
