import { expect, onTestFinished, test } from "vitest";
import { runSpec } from "../../../../src/contract/run-spec.ts";
import { TargetPlan } from "../../../../src/worker/result/target.ts";
import { Scratch } from "../../../support/scratch.ts";

function planFor(name: string, folder?: string) {
  const scratch = new Scratch();
  onTestFinished(() => {
    scratch[Symbol.dispose]();
  });
  const spec = runSpec.parse({
    command: ["/bin/cat", "{input}"],
    input: { kind: "list", root: "/in" },
    output: { root: folder ?? scratch.path, name, from: "stdout" },
  });
  return new TargetPlan(spec, { runId: "r", token: "t" });
}

test("an output name is bad input when it is too long, no file name, or taken, and policy when it leads out", () => {
  const plan = planFor("{dir}/{stem}");
  expect(plan.relativeOf({ path: "a//b.txt", index: 0 })).toBe("a/b");
  expect(plan.relativeOf({ path: `${"n".repeat(256)}.txt`, index: 0 })).toMatchObject({
    class: "bad-input",
    message: expect.stringMatching(
      /^output name of n+\.txt: expected parts of 255 bytes at most, found "n+"$/,
    ) as string,
  });
  expect(planFor("{dir}/").relativeOf({ path: "a/b", index: 0 })).toMatchObject({ class: "bad-input" });
  expect(planFor("../{name}").relativeOf({ path: "a", index: 0 })).toMatchObject({
    class: "policy",
    message: expect.stringMatching(/^expected a path inside .*, found \.\.\/a$/) as string,
  });
  expect(plan.claim("a/b", 3)).toMatchObject({ relative: "a/b" });
  expect(plan.claim("a/b", 4)).toEqual({
    class: "bad-input",
    message: 'expected an output name of its own, found "a/b", which input number 3 has already',
  });
});

test("a folder that the kernel does not make is told, and does not hold the thread", () => {
  expect(planFor("{name}", "/proc/x/o").claim("a/b", 0)).toMatchObject({
    class: "infrastructure",
    message: "could not make the output folder: ENOENT",
  });
});
