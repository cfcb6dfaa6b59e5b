/** What an agent used and did, counted from the lines that it prints. */
import { describe, expect, test } from "vitest";
import { countLine, noCount, verdictOn } from "../../../../src/worker/executor/agent-watch.ts";

interface Said {
  readonly id?: string;
  readonly tokens?: number;
  readonly parent?: string;
  readonly calls?: readonly (readonly [id: string, name: string, input: unknown])[];
}

const message = ({ id = "m1", tokens = 10, parent, calls = [] }: Said): string =>
  JSON.stringify({
    type: "assistant",
    parent_tool_use_id: parent ?? null,
    message: {
      id,
      content: calls.map(([callId, name, input]) => ({ type: "tool_use", id: callId, name, input })),
      usage: { input_tokens: 1, cache_creation_input_tokens: 2, cache_read_input_tokens: 3, output_tokens: tokens - 6 },
    },
  });

const counted = (...lines: readonly string[]) => lines.reduce(countLine, noCount);
const used = ({ turns, tokens, costUsd }: typeof noCount) => ({ turns, tokens, costUsd });

describe("an agent's lines", () => {
  test("count a message once, however many lines tell its parts, and all kinds of its tokens", () => {
    const count = counted(
      message({ id: "a", tokens: 10 }),
      message({ id: "a", tokens: 10 }),
      message({ id: "a", tokens: 15 }),
      message({ id: "b", tokens: 20 }),
    );
    expect(used(count)).toEqual({ turns: 2, tokens: 35, costUsd: 0 });
  });

  test("count tokens of agents that it started, and not their turns, even where their lines are mixed", () => {
    const count = counted(
      message({ id: "a", tokens: 10 }),
      message({ id: "x", tokens: 100, parent: "call-1" }),
      message({ id: "a", tokens: 10 }),
      message({ id: "x", tokens: 100, parent: "call-1" }),
    );
    expect(used(count)).toEqual({ turns: 1, tokens: 110, costUsd: 0 });
  });

  test("take the last word where it tells more", () => {
    const result = JSON.stringify({
      ...{ type: "result", num_turns: 3, total_cost_usd: 0.25 },
      usage: { input_tokens: 40, output_tokens: 60 },
    });
    expect(used(counted(message({ tokens: 10 }), result))).toEqual({ turns: 3, tokens: 100, costUsd: 0.25 });
  });

  test.each([
    "",
    "thinking",
    "{not json",
    "[1]",
    "null",
    '{"type":"assistant"}',
    '{"type":"assistant","message":7}',
    '{"type":"result","num_turns":"many","total_cost_usd":-1,"usage":[]}',
    '{"type":"user","message":{"usage":{"input_tokens":9}}}',
  ])("say nothing where they are no messages: %s", (line) => {
    expect(used(counted(line))).toEqual({ turns: 0, tokens: 0, costUsd: 0 });
  });
});

describe("a ceiling", () => {
  const two = counted(message({ id: "a" }), message({ id: "b" }));

  test("ends at the first call over it, telling the limit and what was used", () => {
    expect(verdictOn(two, { maxTurns: 2, maxTokens: 20 }, 0)).toBeNull();
    expect(verdictOn(two, { maxTurns: 1 }, 0)).toEqual({
      stop: "budget",
      message: "expected at most 1 turns, found 2 used",
    });
    expect(verdictOn(two, { maxTokens: 19 }, 0)?.message).toBe("expected at most 19 tokens, found 20 used");
  });

  test("holds for money too", () => {
    const paid = counted(JSON.stringify({ type: "result", total_cost_usd: 0.1 + 0.2 }));
    expect(verdictOn(paid, { maxCostUsd: 0.31 }, 0)).toBeNull();
    expect(verdictOn(paid, { maxCostUsd: 0.29 }, 0)?.message).toBe("expected at most 0.29 US dollars, found 0.3 used");
  });
});

describe("a loop", () => {
  const call = (at: number, input: unknown, parent?: string) =>
    message({
      id: `m${parent ?? ""}${at}`,
      calls: [[`c${parent ?? ""}${at}`, "Read", input]],
      ...(parent && { parent }),
    });

  test("is the same call so many times in a row, in whatever order its input is written", () => {
    const count = counted(call(1, { a: 1, b: [2] }), call(2, { b: [2], a: 1 }), call(3, { a: 1, b: [2] }));
    expect(verdictOn(count, { repeats: 4 }, 0)).toBeNull();
    expect(verdictOn(count, { repeats: 3 }, 0)).toEqual({
      stop: "stuck",
      message: "expected an agent that gets on, found the same call of Read 3 times in a row",
    });
  });

  test("is broken by another call, and is no call that is told twice", () => {
    expect(verdictOn(counted(call(1, 1), call(2, 2), call(3, 1)), { repeats: 2 }, 0)).toBeNull();
    expect(verdictOn(counted(call(1, 1), call(1, 1)), { repeats: 2 }, 0)).toBeNull();
    expect(verdictOn(counted(call(1, { a: 1 }), call(2, { b: 1 })), { repeats: 2 }, 0)).toBeNull();
  });

  test("is not made of the calls of two agents, and one agent's does not hide in those of another", () => {
    const mixed = [call(1, 1), call(1, 1, "x"), call(2, 1, "y")];
    expect(verdictOn(counted(...mixed), { repeats: 2 }, 0)).toBeNull();
    expect(verdictOn(counted(...mixed, call(9, 2), call(2, 1, "x")), { repeats: 2 }, 0)?.stop).toBe("stuck");
  });

  test("does not come of an input that is nested too deeply to be looked at", () => {
    const deep = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;
    const line = (at: number) => call(at, "DEEP").replace('"DEEP"', deep);
    expect(verdictOn(counted(line(1), line(2)), { repeats: 2, maxTurns: 2 }, 0)).toBeNull();
  });

  test("is silence too, where that is asked for", () => {
    expect(verdictOn(noCount, {}, 1e9)).toBeNull();
    expect(verdictOn(noCount, { stuckMs: 500 }, 499)).toBeNull();
    expect(verdictOn(noCount, { stuckMs: 500 }, 500)).toEqual({
      stop: "stuck",
      message: "expected an agent that gets on, found no output for 500 ms",
    });
  });
});
