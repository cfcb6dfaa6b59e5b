import { describe, expect, test } from "vitest";
import { MiB } from "../../../../src/contract/resources.ts";
import { isUnknown, mayRunMore, unknownChunks } from "../../../../src/platform/learned/calibration.ts";
import type { Measure } from "../../../../src/platform/learned/note.ts";
import { Learning } from "../../../support/learning.ts";
import { laws, randomJob, randomOf, type Law } from "../../../support/random-jobs.ts";

const flat: Law = { base: 300, perInput: 0, sizes: [1, 1_000], noise: 0.05, seconds: [5, 5] };
const steep: Law = { base: 50, perInput: 2, sizes: [1, 1_000], noise: 0.05, seconds: [1, 60] };
const liar = (peakMiB: number): Measure => ({
  ...{ kind: "ended", inputBytes: MiB, peakBytes: peakMiB * MiB, durationMs: 1_000, cpuMs: 900 },
  ...{ ioBytes: null, gpuBytes: null, shape: null, weight: 1, jobs: 1 },
});

function learned(law: Law, jobs: number, seed = 1): Learning {
  const learning = new Learning();
  const random = randomOf(seed);
  for (let at = 0; at < jobs; at += 1) learning.take(randomJob(law, random));
  return learning;
}

const inThousandths = (share: number) => Math.round(1_000 * share);

describe("a class", () => {
  test("is predicted by the size of its inputs where that says more", () => {
    const learning = learned(steep, 200);
    expect(learning.model?.chosen("memory")).toBe("lin");
    const small = learning.expect(10 * MiB).memoryBytes.p95;
    const large = learning.expect(900 * MiB).memoryBytes.p95;
    expect(small).toBeGreaterThan(70 * MiB);
    expect(small).toBeLessThan(100 * MiB);
    expect(large).toBeGreaterThan(1_850 * MiB);
    expect(large).toBeLessThan(2_300 * MiB);
    const { durationMs } = learning.expect(900 * MiB);
    expect(durationMs?.p05).toBeLessThan(durationMs?.p50 ?? 0);
    expect(durationMs?.p50).toBeLessThan(durationMs?.p95 ?? 0);
  });

  test("has its GPU memory predicted by the size of its inputs, from the first job on, and beside jobs that use none", () => {
    const learning = new Learning();
    const random = randomOf(3);
    const onCard = () => {
      const job = randomJob(steep, random);
      return { ...job, gpuBytes: 4 * job.peakBytes, peakBytes: 100 * MiB };
    };
    expect(learning.take(onCard())).toBeDefined();
    const first = learning.state.recent[0]?.gpuBytes ?? 0;
    const [seen] = learning.state.recent;
    expect(learning.expect(seen?.inputBytes ?? 0).gpuMemoryBytes?.p95).toBeGreaterThanOrEqual(first);
    for (let job = 0; job < 200; job += 1) {
      learning.take(onCard());
      learning.take({ ...onCard(), gpuBytes: null });
    }
    expect(learning.model?.chosen("gpu")).not.toBe("plain");
    for (const [inputMiB, least, most] of [
      [10, 4 * 70, 4 * 100],
      [900, 4 * 1_850, 4 * 2_300],
    ] as const) {
      const { gpuMemoryBytes } = learning.expect(inputMiB * MiB);
      expect(gpuMemoryBytes?.basis).toBe("learned");
      expect(gpuMemoryBytes?.p95).toBeGreaterThan(least * MiB);
      expect(gpuMemoryBytes?.p95).toBeLessThan(most * MiB);
    }
  });

  test("is predicted without the size where that says nothing", () => {
    const learning = learned(flat, 200);
    const [small, large] = [learning.expect(MiB), learning.expect(1_000 * MiB)].map(
      ({ memoryBytes }) => memoryBytes.p95,
    );
    for (const bytes of [small ?? 0, large ?? 0]) {
      expect(bytes).toBeGreaterThan(300 * MiB);
      expect(bytes).toBeLessThan(370 * MiB);
    }
  });

  test("gives more than the largest that was seen while few are known", () => {
    for (const jobs of [1, 2, 3, 5, 7]) {
      const learning = learned(flat, jobs);
      const largest = Math.max(...learning.state.recent.map(({ peakBytes }) => peakBytes));
      expect(learning.expect(MiB).memoryBytes.p95).toBeGreaterThanOrEqual(largest * (jobs < 3 ? 1.2 : 1.08));
      expect(learning.expect(MiB).samples).toBe(jobs);
    }
  });

  test("covers nearly all of few jobs with less than half as much again, once three are known", () => {
    let [within, asked, ratios] = [0, 0, 0];
    for (const [at, law] of Object.values(laws).entries()) {
      for (let seed = 1; seed <= 20; seed += 1) {
        const random = randomOf(100 * at + seed);
        const learning = new Learning();
        for (let job = 0; job < 15; job += 1) {
          const next = randomJob(law, random);
          const { p95 } = learning.expect(next.inputBytes).memoryBytes;
          learning.take(next);
          if (job < 3) continue;
          asked += 1;
          ratios += p95 / next.peakBytes;
          if (next.peakBytes <= p95) within += 1;
        }
      }
    }
    expect(within / asked).toBeGreaterThanOrEqual(0.93);
    expect(ratios / asked).toBeLessThan(1.4);
  });

  test("a few strange jobs among few do not decide what all are given, and one that was ended counts with what it had", () => {
    const learning = learned(flat, 20);
    const usual = learning.expect(MiB).memoryBytes.p95;
    learning.take(liar(3_000));
    expect(learning.expect(MiB).memoryBytes.p95).toBeLessThan(1.35 * usual);
    const few = learned(flat, 4);
    const before = few.expect(MiB).memoryBytes.p95;
    few.take({ ...liar(100), kind: "at-least", durationMs: 0 });
    expect(few.expect(MiB).memoryBytes.p95).toBeLessThanOrEqual(before * 1.01);
    few.take({ ...liar(900), kind: "at-least", durationMs: 0 });
    expect(few.expect(MiB).memoryBytes.p95).toBeGreaterThanOrEqual(900 * MiB);
  });

  test("tells from two lives on what share of its peak a process has come to at most, and at least", () => {
    const late = [0.45, 0.45, 0.45, 0.45, 0.5, 0.9, 1, 1, 1, 1];
    const soon = late.map((share) => Math.max(share, 0.7));
    const learning = new Learning();
    learning.take({ ...liar(300), shape: late });
    expect(learning.expect(MiB)).toMatchObject({ shape: undefined });
    learning.take({ ...liar(300), shape: soon });
    const { shape, usual, shown } = learning.expect(MiB);
    // Counted in steps of a twentieth, and within one as far as part of the lives are below.
    expect(shape?.map(inThousandths)).toEqual([695, 695, 695, 695, 695, 900, 1_000, 1_000, 1_000, 1_000]);
    expect(usual?.map(inThousandths)).toEqual([450, 450, 450, 450, 500, 875, 975, 975, 975, 975]);
    expect(shown?.map(inThousandths)).toEqual([405, 405, 405, 405, 455, 850, 950, 950, 950, 950]);
  });

  test("a few heavy jobs do not pass for many", () => {
    const learning = new Learning();
    for (const peak of [20, 90, 160, 230, 300]) {
      learning.take({ ...liar(peak), inputBytes: peak * 10_000, weight: 3 });
    }
    const { samples, memoryBytes } = learning.expect(3_000_000);
    expect(samples).toBe(5);
    expect(memoryBytes.p95).toBeGreaterThanOrEqual(300 * MiB * 1.2);
  });

  test("covers all but one in twenty, job by job, of every kind", () => {
    for (const law of Object.values(laws)) {
      const random = randomOf(77);
      const learning = new Learning();
      let within = 0;
      for (let at = 0; at < 200; at += 1) {
        const { isWithin } = learning.take(randomJob(law, random));
        if (at >= 20 && isWithin) within += 1;
      }
      expect(within / 180).toBeGreaterThanOrEqual(0.92);
    }
  });

  test("tells the life of a process as a line that never falls and ends at its peak", () => {
    const learning = new Learning();
    const late = [0.2, 0.2, 0.4, 0.3, 0.3, 0.45, 0.9, 1, 0.8, 0.5];
    for (let at = 0; at < 12; at += 1) learning.take({ ...liar(500), shape: late });
    const { shape, usual } = learning.expect(MiB);
    expect(shape?.map(inThousandths)).toEqual([200, 200, 400, 400, 400, 450, 900, 1_000, 1_000, 1_000]);
    expect(usual?.map(inThousandths)).toEqual([175, 175, 375, 375, 375, 425, 875, 975, 975, 975]);
  });
});

describe("what was declared", () => {
  test("counts until jobs are seen to pass it, and is raised within three that lie", () => {
    const learning = new Learning(100 * MiB);
    expect(learning.expect(MiB)).toMatchObject({ basis: "declared", memoryBytes: { p95: 100 * MiB } });
    for (let at = 0; at < 3; at += 1) learning.take(liar(2_000));
    const { basis, memoryBytes } = learning.expect(MiB);
    expect(basis).toBe("declared");
    expect(memoryBytes.p95).toBeGreaterThanOrEqual(2_000 * MiB);
  });

  test("stays what it was where jobs take less", () => {
    const learning = new Learning(1_000 * MiB);
    for (let at = 0; at < 30; at += 1) learning.take(liar(200));
    const { memoryBytes } = learning.expect(MiB);
    expect(memoryBytes.p95).toBe(1_000 * MiB);
    expect(memoryBytes.p50).toBeLessThan(250 * MiB);
  });

  test("a job that runs and is beyond it raises what the next ones get", () => {
    const learning = new Learning(100 * MiB);
    learning.take({ ...liar(900), kind: "at-least" });
    expect(learning.expect(MiB).memoryBytes.p95).toBeGreaterThanOrEqual(900 * MiB);
  });
});

// Scenario 15 of the governor: three in a hundred take twice as much.
test("finds nine in ten of the jobs that take twice as much, with one false alarm in a thousand at most", () => {
  const found = { right: 0, missed: 0, wrong: 0, quiet: 0 };
  for (const [at, law] of Object.values(laws).entries()) {
    const learning = new Learning();
    const random = randomOf(31 * (at + 1));
    const choice = randomOf(17 * (at + 1));
    for (let job = 0; job < 400; job += 1) {
      const isStrange = choice.uniform() < 0.03;
      const { note } = learning.take(randomJob(law, random, isStrange ? 2 : 1));
      if (job < 40) continue;
      const isFlagged = note.outliers.some(({ target }) => target === "memory");
      if (isStrange) found[isFlagged ? "right" : "missed"] += 1;
      else found[isFlagged ? "wrong" : "quiet"] += 1;
    }
    expect(learning.drifts).toBe(0);
  }
  expect(found.right + found.missed).toBeGreaterThan(50);
  expect(found.right / (found.right + found.missed)).toBeGreaterThanOrEqual(0.9);
  expect(found.wrong / (found.wrong + found.quiet)).toBeLessThanOrEqual(0.001);
});

// Scenario 17 of the governor: the class changes, or what was learned is gone.
test.each(["takes twice as much", "is forgotten"])("covers again within thirty jobs when a class %s", (what) => {
  let within = 0;
  let jobs = 0;
  for (const [at, law] of Object.values(laws).entries()) {
    const learning = learned(law, 200, at + 1);
    const isChange = what === "takes twice as much";
    if (!isChange) learning.wipe();
    const random = randomOf(1_000 + at);
    for (let job = 0; job < 60; job += 1) {
      const { isWithin } = learning.take(randomJob(law, random, isChange ? 2 : 1));
      if (job < 30) continue;
      jobs += 1;
      if (isWithin) within += 1;
    }
    expect(learning.drifts > 0).toBe(isChange);
  }
  expect(within / jobs).toBeGreaterThanOrEqual(0.92);
});

test("classes are begun with two jobs, and with twice as many as have run for a while", () => {
  const most = [0, 1, 2, 8].map((settled) =>
    [0, 1, 2, 3, 15, 16].filter((running) => mayRunMore({ running, settled })),
  );
  expect(most).toEqual([
    [0, 1],
    [0, 1],
    [0, 1, 2, 3],
    [0, 1, 2, 3, 15],
  ]);
  expect([0, 1_999, 2_000, 8_000].map(unknownChunks)).toEqual([2, 2, 4, 32]);
});

test("a class is unknown while nobody declared what it takes and fewer than three of it were measured", () => {
  expect(isUnknown({ basis: "default", samples: 0 })).toBe(true);
  expect(isUnknown({ basis: "learned", samples: 2 })).toBe(true);
  expect(isUnknown({ basis: "learned", samples: 3 })).toBe(false);
  expect(isUnknown({ basis: "declared", samples: 0 })).toBe(false);
});
