import { describe, expect, test } from "vitest";
import { runTs } from "../../support/ts-process.ts";

const run = (behaviour: string) => runTs("integration/platform/processes/signal-user.ts", { args: [behaviour] });

describe("runUntilSignal", () => {
  test.each(["SIGTERM", "SIGINT"] as const)("stops its services at %s and exits 0", async (signal) => {
    await using user = run("clean");
    await user.line('"started"');
    user.child.kill(signal);
    expect(await user.ended()).toBe(0);
    expect(user.output()).toContain("service stops");
  });

  test("exits 1 when work was left behind", async () => {
    await using user = run("leaves-work");
    await user.line('"started"');
    user.child.kill("SIGTERM");
    expect(await user.ended()).toBe(1);
    expect(user.output()).toContain("two jobs left behind");
  });

  test("abandons a service that ignores its deadline, and exits 1", async () => {
    await using user = run("hangs");
    await user.line('"started"');
    user.child.kill("SIGTERM");
    expect(await user.ended()).toBe(1);
    expect(user.output()).toContain("services did not stop by their deadline");
  });

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("exits at once at a second signal, %s", async (signal, code) => {
    await using user = run("hangs");
    await user.line('"started"');
    user.child.kill("SIGTERM");
    await user.line("service stops");
    user.child.kill(signal);
    expect(await user.ended()).toBe(code);
  });

  test("stops when a signal comes during a long start", async () => {
    await using user = run("slow-start");
    await user.line("start has begun");
    user.child.kill("SIGTERM");
    expect(await user.ended()).toBe(0);
  });

  test("exits with the error's own code when the start fails", async () => {
    await using user = run("fails-to-start");
    expect(await user.ended()).toBe(3);
    expect(user.output()).toContain("expected redis, found none");
  });

  test.each([
    ["throws-later", "uncaughtException"],
    ["rejects-later", "unhandledRejection"],
  ])("logs an error that nobody caught (%s), stops and exits 1", async (behaviour, kind) => {
    await using user = run(behaviour);
    expect(await user.ended()).toBe(1);
    expect(user.output()).toContain(`"kind":"${kind}"`);
    expect(user.output()).toContain("service stops");
  });
});
