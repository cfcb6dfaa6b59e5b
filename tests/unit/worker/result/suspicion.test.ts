/** Files that ran when a worker was lost: when they are started again, and what that makes of bad luck and of poison. */
import { describe, expect, test } from "vitest";
import { decideStart } from "../../../../src/worker/result/suspicion.ts";
import { seeded } from "../../../support/seeded.ts";
import { SuspectsSimulation, type SimulationOptions } from "../../../support/suspects-simulation.ts";

describe("decideStart", () => {
  test.each([
    [0, 0, 0, { kind: "start", isAlone: false }],
    [1, 0, 0, { kind: "wait", waitMs: 3_000 }],
    [1, 2_000.5, 0, { kind: "wait", waitMs: 1_000 }],
    [1, 3_000, 0, { kind: "start", isAlone: false }],
    [2, 3_000, Infinity, { kind: "wait", waitMs: 7_000 }],
    [2, 9_000, 4_000, { kind: "wait", waitMs: 6_000 }],
    [2, 10_000, 10_000, { kind: "start", isAlone: true }],
    [2, 60_000, 0, { kind: "start", isAlone: true }],
    [9, 10_000, Infinity, { kind: "start", isAlone: true }],
  ])("with %d lost workers, on one that has been up for %d ms, %d ms after a loss", (losses, upMs, calmMs, start) => {
    expect(decideStart(losses, { upMs, calmMs })).toEqual(start);
  });
});

/** Workers are killed each time that some ten files have been finished, and are away for up to three seconds. */
const harsh: Omit<SimulationOptions, "random" | "rule"> = {
  files: 300,
  kills: 30,
  workers: 3,
  slots: 2,
  fileMs: 40,
  ahead: 4,
  restartMs: 3_000,
  poison: new Set(),
};
const seeds = Array.from({ length: 40 }, (_, seed) => seed);
const atOnce: SimulationOptions["rule"] = () => ({ kind: "start", isAlone: false });

function simulate(rule: SimulationOptions["rule"], options: Partial<SimulationOptions> = {}): SuspectsSimulation[] {
  return seeds.map((seed) => new SuspectsSimulation({ ...harsh, rule, random: seeded(seed), ...options }).run());
}

describe("the rule, in a cluster whose workers are killed all the time", () => {
  test("quarantines no innocent file, where a start at once would", () => {
    expect(simulate(atOnce).some(({ quarantined }) => quarantined.size > 0)).toBe(true);
    expect(simulate(decideStart).flatMap(({ quarantined }) => [...quarantined])).toEqual([]);
  });

  test("quarantines each file that kills its worker after three of them, and no other", () => {
    const poison = new Set([7, 8, 160]);
    for (const { quarantined, deaths } of simulate(decideStart, { poison, kills: 5 })) {
      expect([...quarantined].sort((a, b) => a - b)).toEqual([...poison]);
      for (const count of deaths.values()) expect(count).toBeLessThanOrEqual(3);
    }
  });
});
