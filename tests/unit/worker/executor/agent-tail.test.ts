/** What an agent prints is read while it grows. */
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { AgentTail } from "../../../../src/worker/executor/agent-tail.ts";
import { Scratch } from "../../../support/scratch.ts";

const line = (id: string, more = {}) => JSON.stringify({ type: "assistant", message: { id, ...more } });

test("lines count when they are whole, however they come in pieces, and the last one without its end", () => {
  using scratch = new Scratch();
  const path = join(scratch.path, "out");
  writeFileSync(path, "");
  const tail = new AgentTail(path, { maxTurns: 1 });
  expect(tail.look(0)).toBeNull();
  appendFileSync(path, `plain\n${line("a")}\n${line("b").slice(0, 20)}`);
  expect(tail.look(10)).toBeNull();
  appendFileSync(path, line("b").slice(20));
  expect(tail.look(20)).toBeNull();
  expect(tail.last()).toEqual({ stop: "budget", message: "expected at most 1 turns, found 2 used" });
});

test("a line that is longer than any message is left out, and those after it count", () => {
  using scratch = new Scratch();
  const path = join(scratch.path, "out");
  writeFileSync(path, `${line("a", { text: "x".repeat(9 * 1024 * 1024) })}\n${line("b")}\n${line("c")}\n`);
  expect(new AgentTail(path, { maxTurns: 1 }).last()?.message).toContain("found 2 used");
});

test("silence is counted from what came last", () => {
  using scratch = new Scratch();
  const path = join(scratch.path, "out");
  writeFileSync(path, "");
  const tail = new AgentTail(path, { stuckMs: 100 });
  expect(tail.look(90)).toBeNull();
  appendFileSync(path, "still here");
  expect(tail.look(150)).toBeNull();
  expect(tail.look(249)).toBeNull();
  expect(tail.look(250)?.stop).toBe("stuck");
});

test("a file that is not there has said nothing", () => {
  using scratch = new Scratch();
  expect(new AgentTail(join(scratch.path, "none"), { maxTurns: 1 }).last()).toBeNull();
});
