import { describe, expect, test } from "vitest";
import { IllegalStateError } from "../../../src/contract/errors.ts";
import { State, type Transitions } from "../../../src/platform/state.ts";
import { keepingLogger, quietLogger } from "../../support/quiet-logger.ts";

type Phase = "idle" | "running" | "stopped";
const moves: Transitions<Phase> = { idle: ["running"], running: ["stopped"], stopped: [] };

describe("state", () => {
  test("moves along the arrows and logs each move", () => {
    const { logger, lines } = keepingLogger();
    const state = new State("lane", moves, "idle", logger);
    state.moveTo("running");
    state.moveTo("stopped");
    expect(state.current).toBe("stopped");
    expect(lines().map(({ from, to, what }) => [what, from, to])).toEqual([
      ["lane", "idle", "running"],
      ["lane", "running", "stopped"],
    ]);
  });

  test("refuses an arrow that is not drawn and stays where it was", () => {
    const state = new State("lane", moves, "idle", quietLogger);
    expect(() => {
      state.moveTo("stopped");
    }).toThrow(IllegalStateError);
    expect(state.is("idle")).toBe(true);
    expect(state.canMoveTo("running")).toBe(true);
  });
});
