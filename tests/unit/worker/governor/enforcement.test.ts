import { describe, expect, test } from "vitest";
import { MiB } from "../../../../src/contract/resources.ts";
import { decideStep } from "../../../../src/worker/governor/enforcement.ts";
import type { EnforcedJob, EnforcementView } from "../../../../src/worker/governor/step.ts";

const NOW_MS = 100_000;

function job(
  jobId: string,
  facts: { need: number; rss: number; since?: number } & Partial<Omit<EnforcedJob, "need">>,
): EnforcedJob {
  const { need, rss, since = 0, ...more } = facts;
  return {
    jobId,
    runId: "run",
    need: { memoryBytes: need * MiB, cpuCores: 1, processes: 1 },
    usage: { rssBytes: rss * MiB, cpuMs: 0, atMs: 0 },
    peakBytes: rss * MiB,
    processSinceMs: since,
    isRetriable: true,
    isInside: false,
    pid: 7,
    endsAtMs: undefined,
    expectation: undefined,
    suspension: undefined,
    suspendedMs: 0,
    slowed: undefined,
    ...more,
  };
}

function view(usedMiB: number, jobs: readonly EnforcedJob[], more: Partial<EnforcementView> = {}): EnforcementView {
  return {
    memory: [{ name: "cgroup", limitBytes: 1_000 * MiB, usedBytes: usedMiB * MiB }],
    memoryThreshold: 0.8,
    systemReserveBytes: 0,
    pressure: undefined,
    cpu: { kind: "calm", sinceMs: 0 },
    isDraining: false,
    nowMs: NOW_MS,
    jobs,
    ...more,
  };
}

/** Who is ended, and why. */
const victim = (asked: EnforcementView) => {
  const found = decideStep(asked);
  return found?.kind === "end" ? [found.jobId, found.reason] : undefined;
};
const step = (asked: EnforcementView) => {
  const found = decideStep(asked);
  return found && [found.kind, found.jobId, found.reason];
};
const suspendedFor = (ms: number) => ({
  suspension: { sinceMs: NOW_MS - ms, message: "stopped", remainingMs: undefined },
});
const stall = (scope: "cgroup" | "host") => ({ scope, memorySome: 0.5, memoryFull: 0.2, cpuSome: 0 });

describe("whom the governor ends", () => {
  const kept = [job("old", { need: 400, rss: 300, since: 1 }), job("young", { need: 400, rss: 300, since: 2 })];

  test("leaves all alone below the line of danger", () => {
    expect(victim(view(920, kept))).toBeUndefined();
  });

  test("ends the youngest that alone brings the use below the line", () => {
    expect(victim(view(940, kept))).toEqual(["young", "memory-limit"]);
    const small = [...kept, job("tiny", { need: 10, rss: 5, since: 3 })];
    expect(victim(view(940, small))).toEqual(["young", "memory-limit"]);
  });

  test("counts the time of the process, not of the job: what it had done before is kept", () => {
    const fresh = [
      job("chunk", { need: 400, rss: 300, since: 1, processSinceMs: 9 }),
      job("b", { need: 400, rss: 300, since: 5 }),
    ];
    expect(victim(view(940, fresh))?.[0]).toBe("chunk");
  });

  test("ends one that outgrew its promise before any that kept it", () => {
    const jobs = [job("outgrown", { need: 100, rss: 500, since: 1 }), job("young", { need: 400, rss: 300, since: 9 })];
    expect(victim(view(940, jobs))?.[0]).toBe("outgrown");
  });

  test("takes one that is a little beyond its promise for one that kept it", () => {
    const beyond = (rss: number) => [job("beyond", { need: 400, rss, since: 1 }), ...kept.slice(1)];
    expect(victim(view(940, beyond(439)))?.[0]).toBe("young");
    expect(victim(view(940, beyond(441)))?.[0]).toBe("beyond");
  });

  test("ends the largest when none alone is enough", () => {
    const jobs = [1, 2, 3].map((size) => job(`j${size}`, { need: 100, rss: size, since: size === 3 ? 0 : 9 }));
    expect(victim(view(960, jobs))?.[0]).toBe("j3");
  });

  test("ends the last job only when the machine itself is in danger", () => {
    const alone = [job("alone", { need: 100, rss: 900 })];
    expect(victim(view(960, alone))).toBeUndefined();
    expect(victim(view(975, alone))).toEqual(["alone", "memory-limit"]);
  });

  test("ends a job that nobody repeats only when there is no time for anything else", () => {
    const once = kept.map((held) => ({ ...held, isRetriable: false }));
    expect(victim(view(940, once))).toBeUndefined();
    expect(victim(view(975, once))).toEqual(["young", "memory-limit"]);
  });

  test("ends one that is tried again before one that nobody repeats, however full memory is", () => {
    const jobs = [job("once", { need: 100, rss: 500, since: 9, isRetriable: false }), ...kept];
    expect(victim(view(975, jobs))).toEqual(["young", "memory-limit"]);
  });

  test("never ends work inside the worker, nor a promise without a job", () => {
    const inside = [
      job("scan", { need: 32, rss: 500, isInside: true }),
      job("", { need: 9, rss: 500, jobId: undefined }),
    ];
    expect(victim(view(990, inside))).toBeUndefined();
  });

  test("above the threshold, ends an outgrown job when that is what passed it", () => {
    const jobs = [job("outgrown", { need: 100, rss: 400 }), job("kept", { need: 300, rss: 300, since: 9 })];
    expect(victim(view(850, jobs))).toEqual(["outgrown", "memory-threshold"]);
  });

  test("above the threshold because of others, ends nothing", () => {
    const jobs = [job("outgrown", { need: 100, rss: 120 }), job("kept", { need: 300, rss: 300 })];
    expect(victim(view(900, jobs))).toBeUndefined();
  });

  test("ends a job when all tasks stall for memory", () => {
    expect(victim(view(500, kept, { pressure: stall("cgroup") }))).toEqual(["young", "memory-pressure"]);
    expect(victim(view(500, kept, { pressure: stall("host") }))).toBeUndefined();
    expect(victim(view(790, kept, { pressure: stall("host"), memoryThreshold: 0.9 }))).toBeUndefined();
    expect(victim(view(810, kept, { pressure: stall("host"), memoryThreshold: 0.9 }))?.[1]).toBe("memory-pressure");
  });
});

describe("whom the governor stops for a while", () => {
  const kept = [job("old", { need: 400, rss: 300, since: 1 }), job("young", { need: 400, rss: 300, since: 2 })];
  const once = kept.map((held) => ({ ...held, isRetriable: false }));
  const soon = { endsAtMs: NOW_MS + 5_000 };

  test("in danger, one that nobody repeats: the youngest of those that outgrew their promises", () => {
    expect(step(view(940, once))).toEqual(["suspend", "young", "memory-limit"]);
    const outgrown = job("grown", { need: 100, rss: 300, isRetriable: false });
    expect(step(view(940, [...kept, outgrown]))).toEqual(["suspend", "grown", "memory-limit"]);
    expect(step(view(940, once, { pressure: stall("cgroup") }))?.[0]).toBe("suspend");
  });

  test("then those that kept their promises are left alone, unless they grow to the last line, or stalls go on", () => {
    const grown = (ms: number) => job("grown", { need: 100, rss: 300, isRetriable: false, ...suspendedFor(ms) });
    expect(step(view(940, [...kept, grown(5_000)]))).toBeUndefined();
    expect(step(view(975, [...kept, grown(5_000)]))).toEqual(["end", "young", "memory-limit"]);
    const stalls = { pressure: stall("cgroup") };
    expect(step(view(900, [...kept, grown(1_900)], { memoryThreshold: 0.96, ...stalls }))).toBeUndefined();
    expect(step(view(900, [...kept, grown(2_000)], { memoryThreshold: 0.96, ...stalls }))?.[0]).toBe("end");
  });

  test("while memory is short, one that outgrew its promise, if others soon give back what is lacking", () => {
    const jobs = [job("grown", { need: 100, rss: 300 }), job("kept", { need: 400, rss: 300, ...soon })];
    const short = (of: readonly EnforcedJob[], used = 910) => step(view(used, of, { memoryThreshold: 0.96 }));
    expect(short(jobs)).toEqual(["suspend", "grown", "memory-short"]);
    expect(short(jobs, 895)).toBeUndefined();
    expect(short(jobs.map((one) => ({ ...one, endsAtMs: undefined })))).toBeUndefined();
    expect(short(jobs.map((one) => ({ ...one, endsAtMs: NOW_MS + 60_000 })))).toBeUndefined();
    expect(short(jobs.map((one) => ({ ...one, endsAtMs: NOW_MS - 60_000 })))).toBeUndefined();
    const fresh = { ...job("grown", { need: 100, rss: 300 }), processSinceMs: NOW_MS - 4_000 };
    expect(short([fresh, job("kept", { need: 400, rss: 300, ...soon })])).toBeUndefined();
    expect(short([fresh, job("kept", { need: 400, rss: 300, endsAtMs: NOW_MS + 3_000 })])?.[0]).toBe("suspend");
    const once = { ...fresh, isRetriable: false };
    expect(short([once, job("kept", { need: 400, rss: 300, ...soon })])?.[0]).toBe("suspend");
    const little = [job("grown", { need: 100, rss: 300 }), job("kept", { need: 400, rss: 5, ...soon })];
    expect(short(little)).toBeUndefined();
  });

  test("while memory is short because of others, none", () => {
    const jobs = [job("grown", { need: 100, rss: 105 }), job("kept", { need: 400, rss: 300, ...soon })];
    expect(step(view(910, jobs, { memoryThreshold: 0.96 }))).toBeUndefined();
  });

  test("at a threshold, one that is worth waiting for before it is ended, and one that nobody repeats in any case", () => {
    const grown = job("grown", { need: 100, rss: 400 });
    const neighbour = job("kept", { need: 300, rss: 300, ...soon });
    expect(step(view(850, [grown, neighbour]))).toEqual(["suspend", "grown", "memory-threshold"]);
    const late = { ...neighbour, endsAtMs: undefined };
    expect(step(view(850, [grown, late]))).toEqual(["end", "grown", "memory-threshold"]);
    expect(step(view(850, [{ ...grown, isRetriable: false }, late]))?.[0]).toBe("suspend");
    expect(step(view(850, [{ ...grown, ...suspendedFor(100) }, late]))).toBeUndefined();
  });

  test("never the only job, nor the last that still moves, nor any while the worker drains", () => {
    const alone = [job("alone", { need: 100, rss: 900, isRetriable: false })];
    expect(step(view(940, alone))).toBeUndefined();
    const [first, second] = once.map((one, at) => (at === 0 ? { ...one, ...suspendedFor(100) } : one));
    expect(
      step(
        view(
          940,
          [first, second].flatMap((one) => one ?? []),
        ),
      ),
    ).toBeUndefined();
    expect(step(view(940, once, { isDraining: true }))).toBeUndefined();
    const unseen = once.map((one, at) => (at === 0 ? { ...one, usage: undefined } : one));
    expect(step(view(940, unseen))).toBeUndefined();
  });

  test("none for longer than a minute in all", () => {
    const spent = once.map((one) => ({ ...one, suspendedMs: 60_000 }));
    expect(step(view(940, spent))).toBeUndefined();
  });
});

describe("when a job that stands still goes on", () => {
  const other = job("other", { need: 400, rss: 300 });
  const stopped = (ms = 1_000, more: Partial<Omit<EnforcedJob, "need">> = {}) =>
    job("stopped", { need: 100, rss: 300, ...suspendedFor(ms), ...more });

  test("when there is clearly room again, and for what it was promised beside", () => {
    expect(step(view(740, [stopped(), other]))).toEqual(["resume", "stopped", "room"]);
    expect(step(view(760, [stopped(), other]))).toBeUndefined();
    expect(step(view(740, [stopped(900), other]))).toBeUndefined();
    const stalls = { scope: "cgroup", memorySome: 0.1, memoryFull: 0.05, cpuSome: 0 } as const;
    expect(step(view(740, [stopped(), other], { pressure: stalls }))).toBeUndefined();
    expect(step(view(840, [stopped(), other], { memoryThreshold: 0.96 }))).toEqual(["resume", "stopped", "room"]);
    const growing = { ...stopped(), need: { memoryBytes: 400 * MiB, cpuCores: 1, processes: 1 } };
    expect(step(view(840, [growing, other], { memoryThreshold: 0.96 }))).toBeUndefined();
  });

  test("when no other job moves: the one that has stood longest", () => {
    expect(step(view(900, [stopped()]))).toEqual(["resume", "stopped", "alone"]);
    const two = [stopped(), job("longer", { need: 100, rss: 9, ...suspendedFor(2_000) })];
    expect(step(view(900, two))).toEqual(["resume", "longer", "alone"]);
    const between = { ...other, usage: undefined };
    expect(step(view(900, [stopped(), between], { memoryThreshold: 0.96 }))).toBeUndefined();
  });

  test("when the worker drains, and when its process has ended meanwhile", () => {
    expect(step(view(920, [stopped(), other], { isDraining: true }))).toEqual(["resume", "stopped", "drain"]);
    const gone = { ...stopped(), usage: { rssBytes: 0, cpuMs: 0, atMs: 0 } };
    expect(step(view(920, [gone, other], { memoryThreshold: 0.96 }))).toEqual(["resume", "stopped", "gone"]);
  });

  test("after a minute in all: it goes on where that is no danger, and is ended where it is", () => {
    const more = { memoryThreshold: 0.96 };
    expect(step(view(880, [stopped(60_000), other], more))).toEqual(["resume", "stopped", "time-limit"]);
    expect(step(view(910, [stopped(60_000), other], more))).toEqual(["end", "stopped", "time-limit"]);
    const once = stopped(20_000, { isRetriable: false, suspendedMs: 40_000 });
    expect(step(view(910, [once, other], more))).toEqual(["resume", "stopped", "time-limit"]);
  });
});

describe("near the limit of a large control group", () => {
  const of4GiB = (usedMiB: number, jobs: readonly EnforcedJob[]) =>
    view(0, jobs, {
      memory: [{ name: "cgroup", limitBytes: 4_096 * MiB, usedBytes: usedMiB * MiB }],
      memoryThreshold: 0.96,
    });
  const kept = [job("one", { need: 2_000, rss: 1_900 }), job("two", { need: 2_000, rss: 1_900, since: 5 })];

  test("jobs that keep their promises are ended later than those that do not", () => {
    expect(step(of4GiB(3_900, kept))).toBeUndefined();
    expect(victim(of4GiB(3_920, kept))).toEqual(["two", "memory-limit"]);
    const grown = [...kept, job("grown", { need: 10, rss: 100, since: 9 })];
    expect(victim(of4GiB(3_900, grown))).toEqual(["grown", "memory-limit"]);
  });

  test("of a small one they are ended at the line of danger, for little is left beyond it", () => {
    const small = [job("one", { need: 450, rss: 440 }), job("two", { need: 500, rss: 490, since: 5 })];
    expect(victim(view(931, small, { memoryThreshold: 0.96 }))).toEqual(["two", "memory-limit"]);
  });
});

describe("in danger, while others end in the next second", () => {
  const grows = job("grows", { need: 400, rss: 300, since: 1 });
  const full = job("full", { need: 300, rss: 300, since: 2 });
  const ending = (rss: number, inMs: number) => job("ending", { need: rss, rss, endsAtMs: NOW_MS + inMs });

  test("one that grows stands still, and nobody is ended", () => {
    expect(step(view(960, [grows, full, ending(300, 900)]))).toEqual(["suspend", "grows", "memory-limit"]);
    expect(step(view(960, [{ ...grows, ...suspendedFor(50) }, full, ending(300, 900)]))).toBeUndefined();
    expect(step(view(960, [full, ending(300, -300)]))).toBeUndefined();
  });

  test("one is ended where they end later, give back too little, or no time is left", () => {
    expect(victim(view(960, [grows, full, ending(300, 1_100)]))?.[0]).toBe("full");
    expect(victim(view(960, [grows, full, ending(25, 900)]))?.[0]).toBe("full");
    expect(victim(view(975, [grows, full, ending(300, 900)]))?.[0]).toBe("full");
    // Nobody is stopped while the worker drains, nor for longer than a minute in all.
    expect(victim(view(960, [grows, full, ending(300, 900)], { isDraining: true }))?.[0]).toBe("full");
    expect(victim(view(960, [{ ...grows, suspendedMs: 60_000 }, full, ending(300, 900)]))?.[0]).toBe("full");
    const stands = ending(300, 900);
    expect(victim(view(960, [grows, full, { ...stands, ...suspendedFor(10) }]))?.[0]).toBe("full");
  });

  test("it goes on as soon as all that it was promised is below the line", () => {
    const stopped = (ms: number) => ({ ...grows, ...suspendedFor(ms) });
    expect(step(view(820, [stopped(200), full]))).toEqual(["resume", "grows", "room"]);
    expect(step(view(821, [stopped(200), full]))).toBeUndefined();
    expect(step(view(820, [stopped(199), full]))).toBeUndefined();
    // Each one has its minute, not only the one that has stood longest this time.
    const spent = { ...stopped(300), jobId: "spent", suspendedMs: 59_800 };
    expect(step(view(890, [stopped(400), spent, full]))).toEqual(["resume", "spent", "time-limit"]);
  });
});
