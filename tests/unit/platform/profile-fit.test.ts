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

  test("is nobody's to judge while no worker claims, or none tells what it takes", () => {
    expect(decideProfileFit({ memory: GiB }, [])).toEqual([]);
    expect(decideProfileFit({ labels: ["gpu"] }, [worker("leaving", GiB, [], "draining")])).toEqual([]);
    expect(decideProfileFit({ memory: GiB }, [worker("older", null)])).toEqual([]);
  });

  test("asks for no more cores than there are: it gets all of them", () => {
    expect(decideProfileFit({ cpu: 512 }, [worker("a", GiB)])).toEqual([]);
  });
});
