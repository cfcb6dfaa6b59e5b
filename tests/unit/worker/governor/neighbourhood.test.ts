/** When a worker that can start nothing asks the others of its machine to step back. */
import { describe, expect, test } from "vitest";
import type { MachinePromise, Neighbour, SharedLedger } from "../../../../src/worker/governor/machine-ledger.ts";
import { Neighbourhood } from "../../../../src/worker/governor/neighbourhood.ts";

const nothing: MachinePromise = { growthBytes: 0, cpuCores: 0, processes: 0, cards: [], isEnding: false, starvedMs: 0 };

/** A worker with a job that does not fit, and a neighbour that runs so many. */
class Pair {
  readonly #neighbour: { processes: number } = { processes: 4 };
  #isAlone = false;
  readonly #told: MachinePromise[] = [];
  readonly #neighbourhood: Neighbourhood;

  constructor() {
    const others = (): readonly Neighbour[] =>
      this.#isAlone ? [] : [{ ...nothing, ...this.#neighbour, workerId: "other", levels: ["host"] }];
    const ledger: SharedLedger = { others, publish: (promise) => this.#told.push(promise), close: () => undefined };
    this.#neighbourhood = new Neighbourhood(ledger);
    this.#neighbourhood.noteBacklog(new Set(["exec"]));
  }

  /** Ticks once a second from `fromS` to `toS`; for how long it says to be starved then. */
  starvedAt(fromS: number, toS: number, { processes = 1, waits = true, alone = false } = {}): number | undefined {
    this.#isAlone = alone;
    this.#neighbour.processes = processes;
    for (let second = fromS; second <= toS; second += 1) {
      const queuesWithoutRoom = waits ? ["exec"] : [];
      this.#neighbourhood.publish([], { isEnding: false, queuesWithoutRoom, levels: ["host"], nowMs: second * 1_000 });
    }
    return this.#told.at(-1)?.starvedMs;
  }
}

describe("a worker that can start nothing", () => {
  test("says so for as long as its neighbour runs more than one job", () => {
    const pair = new Pair();
    expect(pair.starvedAt(0, 300, { processes: 2 })).toBe(300_000);
  });

  test("stops asking when the neighbour has stepped back and it is no better, and asks again after a rest", () => {
    const pair = new Pair();
    expect(pair.starvedAt(0, 10, { processes: 4 })).toBe(10_000);
    expect(pair.starvedAt(11, 25)).toBe(25_000);
    expect(pair.starvedAt(26, 26)).toBe(0);
    expect(pair.starvedAt(27, 85)).toBe(0);
    expect(pair.starvedAt(86, 90)).toBe(4_000);
  });

  test("still asks whoever comes after it was alone for long", () => {
    const pair = new Pair();
    expect(pair.starvedAt(0, 60, { alone: true })).toBe(60_000);
    expect(pair.starvedAt(61, 62, { processes: 4 })).toBe(62_000);
  });

  test("begins anew once it had room", () => {
    const pair = new Pair();
    expect(pair.starvedAt(0, 14)).toBe(14_000);
    expect(pair.starvedAt(15, 15, { waits: false })).toBe(0);
    expect(pair.starvedAt(16, 30)).toBe(14_000);
  });
});
