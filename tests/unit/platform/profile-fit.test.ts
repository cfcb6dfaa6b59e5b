import { describe, expect, test } from "vitest";
import { GiB, MiB } from "../../../src/contract/resources.ts";
import { decideProfileFit } from "../../../src/platform/profile-fit.ts";

const worker = (workerId: string, largestJobBytes: number | null, labels: string[] = [], state = "working") => ({
  ...{ workerId, labels, largestJobBytes, state },
});

describe("a profile that is about to be declared", () => {
  test("fits where one worker has the labels and takes the memory", () => {
    const workers = [worker("small", 2 * GiB, ["gpu"]), worker("large", 8 * GiB, ["gpu", "ssd"])];
    expect(decideProfileFit({ memory: 6 * GiB, labels: ["gpu"] }, workers)).toEqual([]);
  });

  test("that none can ever run names the nearest, and all that it lacks", () => {
    const workers = [worker("plain", 8 * GiB), worker("card", 2 * GiB, ["gpu"])];
    expect(decideProfileFit({ memory: 6 * GiB, labels: ["gpu"] }, workers)).toEqual([
      {
        where: "labels",
        expected: "labels that a live worker carries; worker plain, which comes nearest, carries none",
        found: "gpu",
      },
    ]);
    expect(decideProfileFit({ memory: 9 * GiB, labels: ["gpu"] }, workers)).toEqual([
      {
        where: "memory",
        expected: "what a live worker takes; worker card, which comes nearest, takes 2048 MiB at most",
        found: "9216 MiB",
      },
    ]);
  });

  test("is judged by what is reserved for it, a whole size bucket", () => {
    expect(decideProfileFit({ memory: 7_000 * MiB }, [worker("a", 7_500 * MiB)])).toMatchObject([
      { found: "7000 MiB, for which 8192 MiB are reserved" },
    ]);
  });

  test("is held against the largest card of each worker, where that asks for a card and the worker tells it", () => {
    const cards = (workerId: string, largestCardBytes?: number | null) => ({
      ...{ ...worker(workerId, 8 * GiB, ["gpu"]), largestCardBytes },
    });
    const [small, large] = [cards("small", 8 * GiB), cards("large", 24 * GiB)];
    const change = { gpu_memory: 40 * GiB, labels: ["gpu"] };
    expect(decideProfileFit({ ...change, gpu_memory: 24 * GiB }, [small, large])).toEqual([]);
    expect(decideProfileFit(change, [small, large])).toEqual([
      {
        where: "gpu_memory",
        expected: "what a card of a live worker has; worker large, which comes nearest, has cards of 24576 MiB at most",
        found: "40960 MiB",
      },
    ]);
    expect(decideProfileFit(change, [small, cards("older")])).toEqual([]);
    expect(decideProfileFit(change, [small, cards("no card seen", null)])).toEqual([]);
    expect(decideProfileFit({ gpu_memory: 40 * GiB }, [small])).toEqual([]);
    expect(decideProfileFit({ ...change, memory: 9 * GiB }, [small]).map(({ where }) => where)).toEqual([
      "memory",
      "gpu_memory",
    ]);
  });

  test("is nobody's to judge while no worker claims, or none tells what it takes", () => {
    expect(decideProfileFit({ memory: GiB }, [])).toEqual([]);
    expect(decideProfileFit({ labels: ["gpu"] }, [worker("leaving", GiB, [], "draining")])).toEqual([]);
    expect(decideProfileFit({ memory: GiB }, [worker("older", null)])).toEqual([]);
  });

  test("asks for no more cores than there are: it gets all of them", () => {
    expect(decideProfileFit({ cpu: 512 }, [worker("a", GiB)])).toEqual([]);
  });
});
