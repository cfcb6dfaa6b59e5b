import { describe, expect, onTestFinished, test } from "vitest";
import { RecordedPlanner } from "../../../../src/producer/planner/recorded.ts";
import { describePlanner, GOAL, requestOf } from "../../../support/planner-conformance.ts";
import { Scratch } from "../../../support/scratch.ts";

const never = new AbortController().signal;

describePlanner({
  name: "recorded",
  maxBytes: 10_000,
  canHang: false,
  secret: undefined,
  open: (backend) => {
    const scratch = new Scratch();
    scratch.file("all/one/goal.txt", `${GOAL}\n`);
    if (backend.does === "answer") scratch.file("all/one/1.txt", backend.text);
    else scratch.file("all/one/1.failed.json", '{"failure":"broken","message":"it broke"}');
    const planner = new RecordedPlanner({ folder: `${scratch.path}/all`, answer_max_bytes: 10_000 });
    return Promise.resolve({
      planner,
      asked: () => Promise.resolve(),
      isQuiet: () => Promise.resolve(true),
      [Symbol.asyncDispose]: () => {
        scratch[Symbol.dispose]();
        return Promise.resolve();
      },
    });
  },
});

function open(files: Readonly<Record<string, string>>) {
  const scratch = new Scratch();
  onTestFinished(() => {
    scratch[Symbol.dispose]();
  });
  for (const [path, text] of Object.entries(files)) scratch.file(`all/${path}`, text);
  return () => new RecordedPlanner({ folder: `${scratch.path}/all`, answer_max_bytes: 10_000 });
}

describe("a recording", () => {
  const two = {
    "a/goal.txt": "first goal\n",
    "a/1.txt": "one",
    "a/2.txt": "two",
    "b/goal.txt": "second goal",
    "b/1.txt": "three",
  };

  test("answers each goal with its own answers, call by call, and then says that it has ended", async () => {
    const planner = open(two)();
    const say = async (goal: string, call: number) => planner.plan(requestOf({ goal, call }), never);
    expect(await say("first goal", 1)).toMatchObject({ text: "one" });
    expect(await say(" first\n goal ", 2)).toMatchObject({ text: "two" });
    expect(await say("second goal", 1)).toMatchObject({ text: "three" });
    expect(await say("first goal", 3)).toMatchObject({ kind: "failed", failure: "exhausted" });
    expect(await say("third goal", 1)).toMatchObject({ kind: "failed", failure: "exhausted" });
  });

  test("tells the usage and the failures that were recorded", async () => {
    const planner = open({
      ...two,
      "a/1.usage.json": '{"inputTokens":5,"outputTokens":6,"costUsd":0.5}',
      "b/1.failed.json": '{"failure":"throttled","message":"later","retryAfterMs":9}',
    })();
    const usage = { inputTokens: 5, outputTokens: 6, costUsd: 0.5 };
    expect(await planner.plan(requestOf({ goal: "first goal" }), never)).toMatchObject({ usage });
    const failure = { kind: "failed", failure: "throttled", message: "later", retryAfterMs: 9 };
    expect(await planner.plan(requestOf({ goal: "second goal" }), never)).toEqual(failure);
  });

  test("that cannot be read is a failure", async () => {
    const planner = open({ ...two, "a/1.usage.json": "{" })();
    expect(await planner.plan(requestOf({ goal: "first goal" }), never)).toMatchObject({ failure: "unreadable" });
  });

  test("without a goal, or with one twice, is refused", () => {
    expect(open({ "a/1.txt": "x" })).toThrow("expected a folder with a goal.txt at least, found none");
    expect(open({ ...two, "c/goal.txt": "second  goal" })).toThrow("expected another goal, found that of");
    expect(() => new RecordedPlanner({ folder: "/no/such/folder", answer_max_bytes: 1 })).toThrow("ENOENT");
  });
});
