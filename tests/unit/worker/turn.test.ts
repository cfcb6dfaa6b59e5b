import { describe, expect, it } from "vitest";
import { GiB } from "../../../src/contract/resources.ts";
import { decideTurn, loadWith, type NodeLoad, type TurnQuestion } from "../../../src/worker/turn.ts";
import { seeded } from "../../support/seeded.ts";

const question: TurnQuestion = { queue: "exec@0", labels: [], need: { memoryBytes: 0, cpuCores: 0, processes: 1 } };

function node(workerId: string, processes: number, held: number, more: Partial<NodeLoad> = {}): NodeLoad {
  return {
    workerId,
    isOpen: true,
    labels: [],
    capacity: { memoryBytes: 8 * GiB, cpuCores: 4, processes },
    reserved: { memoryBytes: 0, cpuCores: 0, processes: held },
    withoutRoom: [],
    ...more,
  };
}

describe("whose turn a job is", () => {
  it("is that of the worker that is least loaded with it, for its size", () => {
    const small = node("small", 2, 0);
    const large = node("large", 8, 2);
    expect(decideTurn(small, [large], question)?.workerId).toBe("large");
    expect(decideTurn(large, [small], question)).toBeUndefined();
  });

  it("is its own where workers are about alike", () => {
    expect(decideTurn(node("a", 20, 11), [node("b", 20, 10)], question)).toBeUndefined();
  });

  it("is never that of a worker that is full, closed, without the labels, or without room for this queue", () => {
    const own = node("own", 4, 3);
    const others = [
      node("full", 2, 2),
      node("closed", 8, 0, { isOpen: false }),
      node("without-room", 8, 0, { withoutRoom: ["exec@0"] }),
    ];
    expect(decideTurn(own, others, question)).toBeUndefined();
    expect(decideTurn(own, [node("no-gpu", 8, 0)], { ...question, labels: ["gpu"] })).toBeUndefined();
    const labelled = node("gpu", 8, 0, { labels: ["gpu", "fast"] });
    expect(decideTurn(own, [labelled], { ...question, labels: ["gpu"] })?.workerId).toBe("gpu");
  });

  it("counts the resource of which the largest share is taken", () => {
    const capacity = { memoryBytes: 8 * GiB, cpuCores: 4, processes: 64 };
    const reserved = { memoryBytes: 6 * GiB, cpuCores: 1, processes: 1 };
    expect(loadWith({ capacity, reserved }, { memoryBytes: 1 * GiB, cpuCores: 1, processes: 1 })).toBeCloseTo(7 / 8);
    expect(loadWith({ capacity, reserved }, { memoryBytes: 0, cpuCores: 3, processes: 1 })).toBeCloseTo(1);
  });

  it("keeps workers of random sizes within one job, or within a tenth, of each other, in any order of waking", () => {
    const next = seeded(11);
    const below = (limit: number) => Math.floor(next() * limit);
    for (let round = 0; round < 50; round += 1) {
      const nodes = Array.from({ length: 2 + below(5) }, (_, at) => node(`n${at}`, 1 + below(16), 0));
      const room = nodes.reduce((sum, { capacity }) => sum + capacity.processes, 0);
      for (let jobs = Math.ceil(room * 0.6); jobs > 0;) {
        const at = below(nodes.length);
        const own = nodes[at];
        if (own === undefined || loadWith(own, question.need) > 1) continue;
        const others = nodes.filter((other) => other !== own);
        if (decideTurn(own, others, question) !== undefined) continue;
        nodes[at] = { ...own, reserved: { ...own.reserved, processes: own.reserved.processes + 1 } };
        jobs -= 1;
      }
      const loads = nodes.map(({ capacity, reserved }) => reserved.processes / capacity.processes);
      const oneJob = Math.max(...nodes.map(({ capacity }) => 1 / capacity.processes));
      expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(oneJob + 0.1 + 1e-9);
    }
  });
});
