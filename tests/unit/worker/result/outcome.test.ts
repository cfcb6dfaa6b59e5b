import { describe, expect, test } from "vitest";
import { defaultRetryRules, failureClasses } from "../../../../src/contract/outcomes.ts";
import { classify, decideRetry, type EndContext, type ProcessEnd } from "../../../../src/worker/result/outcome.ts";

const calm: EndContext = {
  binary: "/bin/tool",
  successExitCodes: [0],
  timeoutMs: 1_000,
  maxOutputBytes: 10,
  stop: null,
  stopMessage: null,
  sawMemoryKill: false,
  isDiskFull: false,
};

const cases: readonly [string, ProcessEnd, Partial<EndContext>, string | null][] = [
  ["exit 0", { kind: "exited", code: 0 }, {}, null],
  ["exit 0 in the moment of the time limit", { kind: "exited", code: 0 }, { stop: "timeout" }, null],
  ["exit 0 after too large an output", { kind: "exited", code: 0 }, { stop: "too-large" }, "bad-output"],
  ["exit 0 of an agent that used too much", { kind: "exited", code: 0 }, { stop: "budget" }, "budget"],
  ["exit 0 of an agent in the moment it was found stuck", { kind: "exited", code: 0 }, { stop: "stuck" }, null],
  ["exit 1 upon TERM of an agent over its budget", { kind: "exited", code: 1 }, { stop: "budget" }, "budget"],
  ["TERM of a stuck agent", { kind: "signalled", signal: "SIGTERM" }, { stop: "stuck" }, "stuck"],
  ["another exit code that means success", { kind: "exited", code: 3 }, { successExitCodes: [0, 3] }, null],
  ["exit 0 when it does not mean success", { kind: "exited", code: 0 }, { successExitCodes: [3] }, "exit"],
  ["exit 1", { kind: "exited", code: 1 }, {}, "exit"],
  ["exit 127 of the command itself", { kind: "exited", code: 127 }, {}, "exit"],
  ["exit 1 on a full disk", { kind: "exited", code: 1 }, { isDiskFull: true }, "infrastructure"],
  ["exit 1 upon TERM at the time limit", { kind: "exited", code: 1 }, { stop: "timeout" }, "timeout"],
  ["a crash", { kind: "signalled", signal: "SIGSEGV" }, {}, "signal"],
  ["SIGBUS on a full disk", { kind: "signalled", signal: "SIGBUS" }, { isDiskFull: true }, "infrastructure"],
  ["SIGKILL from somebody", { kind: "signalled", signal: "SIGKILL" }, {}, "signal"],
  ["SIGKILL from the kernel", { kind: "signalled", signal: "SIGKILL" }, { sawMemoryKill: true }, "out-of-memory"],
  ["a crash beside a memory kill", { kind: "signalled", signal: "SIGSEGV" }, { sawMemoryKill: true }, "signal"],
  ["the time limit", { kind: "signalled", signal: "SIGTERM" }, { stop: "timeout" }, "timeout"],
  ["the governor", { kind: "signalled", signal: "SIGKILL" }, { stop: "evicted" }, "out-of-memory"],
  ["too large an output", { kind: "signalled", signal: "SIGKILL" }, { stop: "too-large" }, "bad-output"],
  ["an abort", { kind: "signalled", signal: "SIGTERM" }, { stop: "aborted" }, "cancelled"],
  ["never started", { kind: "dropped" }, {}, "cancelled"],
  ["no binary", { kind: "not-started", stage: "exec", errno: "ENOENT" }, {}, "infrastructure"],
  ["no permission", { kind: "not-started", stage: "exec", errno: "EACCES" }, {}, "policy"],
  ["no program", { kind: "not-started", stage: "exec", errno: "ENOEXEC" }, {}, "policy"],
  ["too many arguments", { kind: "not-started", stage: "exec", errno: "E2BIG" }, {}, "policy"],
  ["no process to be had", { kind: "not-started", stage: "fork", errno: "EAGAIN" }, {}, "infrastructure"],
  ["no room for the output", { kind: "not-started", stage: "output", errno: "ENOSPC" }, {}, "infrastructure"],
  ["the launcher's death, alone", { kind: "lost", others: 0 }, {}, "signal"],
  ["the launcher's death, beside others", { kind: "lost", others: 2 }, {}, "infrastructure"],
];

describe("classify", () => {
  test.each(cases)("%s", (_name, end, context, expected) => {
    expect(classify(end, { ...calm, ...context })?.class ?? null).toBe(expected);
  });

  test("says what was expected and what was found", () => {
    expect(classify({ kind: "exited", code: 2 }, calm)?.message).toBe("expected exit code 0, found 2");
    expect(classify({ kind: "not-started", stage: "exec", errno: "ENOENT" }, calm)?.message).toContain("/bin/tool");
  });
});

describe("decideRetry", () => {
  test.each(failureClasses)("%s ends after the attempts of its rule", (failureClass) => {
    const { attempts } = defaultRetryRules[failureClass];
    expect(decideRetry(failureClass, attempts, {}, Math.random)).toEqual({ retry: false });
    if (attempts > 1) expect(decideRetry(failureClass, attempts - 1, {}, Math.random).retry).toBe(true);
  });

  test("a rule of the run goes before the default", () => {
    const rule = { attempts: 9, backoffMs: 100, backoffFactor: 2, maxBackoffMs: 1_000 };
    expect(decideRetry("exit", 3, { exit: rule }, () => 1)).toEqual({ retry: true, delayMs: 400 });
    expect(decideRetry("exit", 8, { exit: rule }, () => 0)).toEqual({ retry: true, delayMs: 500 });
    expect(decideRetry("exit", 9, { exit: rule }, () => 0)).toEqual({ retry: false });
  });
});
