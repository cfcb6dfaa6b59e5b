import { describe, expect, test } from "vitest";
import { MiB } from "../../../../src/contract/resources.ts";
import { decideEviction, type EnforcedJob, type EnforcementView } from "../../../../src/worker/governor/enforcement.ts";

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
    ...more,
  };
}

function view(usedMiB: number, jobs: readonly EnforcedJob[], more: Partial<EnforcementView> = {}): EnforcementView {
  return {
    memory: [{ name: "cgroup", limitBytes: 1_000 * MiB, usedBytes: usedMiB * MiB }],
    memoryThreshold: 0.8,
    systemReserveBytes: 0,
    pressure: undefined,
    jobs,
    ...more,
  };
}

const victim = (asked: EnforcementView) => {
  const found = decideEviction(asked);
  return found && [found.jobId, found.reason];
};
const stall = (scope: "cgroup" | "host") => ({ scope, memorySome: 0.5, memoryFull: 0.2, cpuSome: 0 });

describe("decideEviction", () => {
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

  test("ends the largest when none alone is enough", () => {
    const jobs = [1, 2, 3].map((size) => job(`j${size}`, { need: 100, rss: size, since: size === 3 ? 0 : 9 }));
    expect(victim(view(960, jobs))?.[0]).toBe("j3");
  });

  test("ends the last job only when the machine itself is in danger", () => {
    const alone = [job("alone", { need: 100, rss: 900 })];
    expect(victim(view(960, alone))).toBeUndefined();
    expect(victim(view(975, alone))).toEqual(["alone", "memory-limit"]);
  });

  test("leaves a job that nobody repeats to the very end", () => {
    const once = kept.map((held) => ({ ...held, isRetriable: false }));
    expect(victim(view(940, once))).toBeUndefined();
    expect(victim(view(975, once))?.[0]).toBe("young");
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
