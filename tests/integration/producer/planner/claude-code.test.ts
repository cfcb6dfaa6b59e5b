import { existsSync } from "node:fs";
import { describe, expect, onTestFinished, test } from "vitest";
import { ClaudeCodePlanner } from "../../../../src/producer/planner/claude-code.ts";
import { makeFakeClaude, SECRET, type Mood } from "../../../support/fake-claude.ts";
import { describePlanner, requestOf } from "../../../support/planner-conformance.ts";
import { makeTempFolder } from "../../../support/temp-folder.ts";

const never = new AbortController().signal;

describePlanner({
  name: "claude-code",
  maxBytes: 10_000,
  canHang: true,
  secret: SECRET,
  open: (backend) => {
    const folder = makeTempFolder();
    const mood = { answer: "answer", hang: "hang", fail: "is-error" } as const;
    const claude = makeFakeClaude(folder.path, mood[backend.does], backend.does === "answer" ? backend.text : "");
    const planner = new ClaudeCodePlanner(claude.settings, claude.env);
    return Promise.resolve({
      planner,
      asked: () => expect.poll(claude.heard).toBeDefined(),
      isQuiet: () => Promise.resolve(claude.isQuiet()),
      [Symbol.asyncDispose]: async () => {
        await planner[Symbol.asyncDispose]();
        folder[Symbol.dispose]();
      },
    });
  },
});

function open(mood: Mood, answer = "hello") {
  const folder = makeTempFolder();
  onTestFinished(() => {
    folder[Symbol.dispose]();
  });
  const claude = makeFakeClaude(folder.path, mood, answer);
  return { ...claude, planner: new ClaudeCodePlanner(claude.settings, claude.env) };
}

describe("claude code", () => {
  test("is called without tools, servers and settings, in an empty folder, with the variables that are named", async () => {
    const { planner, heard } = open("answer");
    const messages = [
      ...requestOf().messages,
      { role: "assistant" as const, content: "first try" },
      { role: "user" as const, content: "mend it" },
    ];
    await planner.plan(requestOf({ messages }), never);
    const call = heard();
    const flags = ["-p", "--output-format", "json", "--tools", "", "--strict-mcp-config", "--setting-sources", ""];
    expect(call?.argv).toEqual([...flags, "--max-turns", "1", "--system-prompt", "You plan."]);
    expect(call?.stdin).toBe("The goal: say hello to the world\n\nYour last answer was:\nfirst try\n\nmend it");
    expect(call?.env.toSorted()).toEqual(["ANTHROPIC_API_KEY", "PATH"]);
    expect(call?.cwd).toContain("headroom-plan-");
    expect(existsSync(call?.cwd ?? "/")).toBe(false);
  });

  test("counts what was read from a cache as what was read", async () => {
    const { planner } = open("answer");
    const usage = { inputTokens: 3_210, outputTokens: 40, costUsd: 0.0125 };
    expect(await planner.plan(requestOf(), never)).toEqual({ kind: "answered", text: "hello", usage });
    expect(await open("no-usage").planner.plan(requestOf(), never)).toMatchObject({ usage: undefined });
  });

  test.each([
    ["is-error", "broken", "success: Invalid API key ***"],
    ["throttled", "throttled", "success: API Error: 429 rate limit reached"],
    ["crash", "broken", "it exited with 7 and printed: boom with ***"],
    ["killed", "cut-off", "it was ended by SIGKILL without a result"],
    ["prose", "unreadable", "it exited with 0 and printed: Hello, I am no JSON."],
    ["half", "unreadable", "it exited with 0 and printed: {"],
    ["flood", "too-long", "more than"],
  ] as const)("that does what is called %s is a failure of the kind %s", async (mood, failure, message) => {
    const { planner, isQuiet } = open(mood);
    const reply = await planner.plan(requestOf(), never);
    expect(reply).toMatchObject({ kind: "failed", failure });
    expect(reply.kind === "failed" && reply.message).toContain(message);
    expect(isQuiet()).toBe(true);
  });

  test("that leaves a process behind is ended whole", async () => {
    const { planner, heard, isQuiet } = open("leave");
    expect(await planner.plan(requestOf(), never)).toMatchObject({ kind: "answered", text: "hello" });
    expect(heard()?.child).toBeGreaterThan(0);
    await expect.poll(isQuiet).toBe(true);
  });

  test("that is not installed cannot be reached", async () => {
    const { settings, env } = open("answer");
    const planner = new ClaudeCodePlanner({ ...settings, command: ["/no/such/claude"] }, env);
    expect(await planner.plan(requestOf(), never)).toMatchObject({
      kind: "failed",
      failure: "unreachable",
      message: "spawn /no/such/claude ENOENT",
    });
  });
});
