import { describe, expect, test } from "vitest";
import { extractPlan } from "../../../../src/producer/planner/extract-plan.ts";
import { planOf } from "../../../support/plan-texts.ts";

const plan = planOf();
const text = JSON.stringify(plan);

describe("the plan of an answer", () => {
  test.each([
    ["alone", text],
    ["with spaces around it", `\n\n  ${text}\n`],
    ["over several lines", JSON.stringify(plan, null, 2)],
    ["in a fence", `\`\`\`json\n${text}\n\`\`\``],
    ["in a fence of no language", `\`\`\`\n${text}\n\`\`\``],
    ["in a fence that does not end", `\`\`\`json\n${text}`],
    ["behind prose", `Here you are: ${text}`],
    ["between prose with braces", `I use {input} and {}. ${text} Is {that} fine? {`],
    ["twice, word for word", `Draft:\n${text}\nEnd:\n${JSON.stringify(plan, null, 4)}`],
    ["beside an object that is none", `{"thought":"easy"}\n${text}`],
    ["with windows line ends", JSON.stringify(plan, null, 2).replaceAll("\n", "\r\n")],
  ])("is found %s", (_where, answer) => {
    expect(extractPlan(answer)).toEqual({ kind: "plan", written: plan });
  });

  test("is refused when there are two", () => {
    const answer = `${text}\n${JSON.stringify(planOf("/bin/sh"))}`;
    expect(extractPlan(answer)).toMatchObject({
      kind: "faulty",
      faults: [{ expected: "exactly one plan", found: "2 different ones" }],
    });
  });

  test("is refused beside one that is broken, which may be the one that was meant", () => {
    expect(extractPlan(`${text}\n{"nodes":[,]}`)).toMatchObject({ kind: "faulty" });
    expect(extractPlan(`{"nodes":[,]}\n${text}`)).toMatchObject({ kind: "faulty" });
  });

  test("tells the line and the column of what is no JSON", () => {
    expect(extractPlan('Well:\n{"version": 1,\n "nodes": [1,]}')).toMatchObject({
      faults: [{ where: "the answer, line 3, column 14", expected: "JSON: a value", found: '"]}"' }],
    });
  });

  test("may be that there is none, with the reason", () => {
    expect(extractPlan('Sorry. {"impossible":"no program reads this"}')).toEqual({
      kind: "declined",
      why: "no program reads this",
    });
  });

  test("is looked for in time that grows with the text and not with its square", () => {
    const time = (answer: string): number => {
      const startedMs = performance.now();
      extractPlan(answer);
      return performance.now() - startedMs;
    };
    // Quadratic, these would take minutes.
    for (const piece of ["{ ", '{"a":', '{"a":{},', "[{", '"{'])
      expect(time(piece.repeat(200_000))).toBeLessThan(2_000);
  });
});
