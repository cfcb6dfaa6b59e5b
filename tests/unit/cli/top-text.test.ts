import { stripVTControlCharacters } from "node:util";
import { describe, expect, test } from "vitest";
import { bar, topText } from "../../../src/cli/top-text.ts";
import { plainStyle, styleFor } from "../../../src/cli/style.ts";
import { GiB, MiB } from "../../../src/contract/resources.ts";
import type { WorkerHeartbeat } from "../../../src/contract/status.ts";

const nowMs = Date.UTC(2026, 0, 2, 3, 4, 5);
const job = { runId: "r1", reserved: { memoryBytes: 512 * MiB } };
const worker: WorkerHeartbeat = {
  ...{ workerId: "node-1-worker", host: "node-1", pid: 7, startedAtMs: 0, atMs: nowMs, state: "working" },
  labels: ["gpu"],
  capacity: { memoryBytes: 4 * GiB, cpuCores: 8, processes: 8 },
  reserved: { memoryBytes: 3 * GiB, cpuCores: 2, processes: 2 },
  observed: { memoryBytes: 2 * GiB, cpuCores: 1.25, processes: 2 },
  headroom: { memoryBytes: 600 * MiB, cpuCores: 6, processes: 6 },
  largestJobBytes: 3 * GiB,
  running: [
    {
      ...{ ...job, jobId: "r1.0.c1", sinceMs: nowMs - 61_000, rssBytes: 100 * MiB, expectedBytes: 400 * MiB },
      ...{ endsAtMs: nowMs + 4_000, enforced: null },
    },
    { ...job, jobId: "r1.0.c2", sinceMs: nowMs - 1_000, rssBytes: 300 * MiB, endsAtMs: null, enforced: null },
  ],
  keepsRoomFor: null,
  waiting: [
    {
      ...{ queue: "exec.default@20", code: "MEM_NOW", message: "needs 1024 MiB of memory, 600 MiB is free" },
      ...{ sinceMs: nowMs, etaMs: 4_000, need: GiB, have: 600 * MiB },
    },
  ],
};
const options = { nowMs, columns: 100, style: plainStyle, maxJobs: 20 };

describe("top", () => {
  test("shows room, promises and use of each resource, jobs with the largest first, and what waits for what", () => {
    const lines = topText([worker], options).split("\n");
    expect(lines[0]).toMatch(/^headroom top {2}1 worker, 2 jobs running/);
    expect(lines[2]).toBe("node-1-worker  working  gpu  on node-1");
    expect(lines[3]).toBe(
      `  memory    ${"█".repeat(12)}${"▒".repeat(6)}${"░".repeat(6)}  2 GiB used, 3 GiB reserved, 600 MiB free of 4 GiB`,
    );
    expect(lines[6]).toMatch(/^ +JOB +FOR +RESERVED +USED +PREDICTED +ENDS IN *$/);
    expect(lines[7]).toMatch(/r1\.0\.c2 +1 s +512 MiB +300 MiB +- +-$/);
    expect(lines[8]).toMatch(/r1\.0\.c1 +1 min 01 s +512 MiB +100 MiB +400 MiB +4 s$/);
    expect(lines[9]).toBe(
      "  waits: exec.default@20  MEM_NOW  needs 1024 MiB of memory, 600 MiB is free, in 4 s perhaps",
    );
  });

  test("shows the memory of cards and the fullest volume, where there are some", () => {
    const devices = [
      { name: "gpu 0", usedBytes: 6 * GiB, totalBytes: 8 * GiB },
      { name: "scratch", usedBytes: 3 * GiB, totalBytes: 12 * GiB },
    ];
    const lines = topText([{ ...worker, devices }], options).split("\n");
    expect(lines.slice(6, 8)).toEqual([
      `  gpu 0     ${"█".repeat(18)}${"░".repeat(6)}  6 GiB used, 2 GiB free of 8 GiB`,
      `  scratch   ${"█".repeat(6)}${"░".repeat(18)}  3 GiB used, 9 GiB free of 12 GiB`,
    ]);
    expect(topText([worker], options)).not.toContain("gpu 0");
  });

  test("shows what jobs hold of the cards, of what was promised to them, where one has a card", () => {
    const gpu = { reservedBytes: 2 * GiB, usedBytes: GiB, expectedBytes: GiB };
    const [first, second] = worker.running.map((one, at) => (at === 0 ? { ...one, gpu } : one));
    const running = [first, second].flatMap((one) => one ?? []);
    const devices = [{ name: "gpu 0", usedBytes: GiB, totalBytes: 8 * GiB, reservedBytes: 2 * GiB }];
    const lines = topText([{ ...worker, running, devices }], options).split("\n");
    expect(lines[6]).toBe(
      `  gpu 0     ${"█".repeat(3)}${"▒".repeat(3)}${"░".repeat(18)}  1 GiB used, 2 GiB reserved, 6 GiB free of 8 GiB`,
    );
    expect(lines[7]).toMatch(/PREDICTED +GPU +ENDS IN$/);
    expect(lines[9]).toMatch(/r1\.0\.c1 .* 400 MiB +1 GiB of 2 GiB +4 s$/);
    expect(topText([worker], options)).not.toContain("GPU");
  });

  test("says of a job that stands still, or is slowed, since when", () => {
    const enforced = { state: "suspended", sinceMs: nowMs - 3_000, message: "memory-limit: …" } as const;
    const [first, second] = worker.running.map((one, at) => (at === 0 ? { ...one, enforced } : one));
    const running = [first, second].flatMap((one) => one ?? []);
    const lines = topText([{ ...worker, running }], options).split("\n");
    expect(lines[6]).toMatch(/ENDS IN {2}STATE$/);
    expect(lines[8]).toMatch(/r1\.0\.c1 .* 4 s {2}suspended for 3 s$/);
    expect(topText([worker], options)).not.toContain("STATE");
  });

  test("never draws wider than asked for, nor more cells than there are", () => {
    const colour = styleFor({ isTTY: true }, {});
    for (const [used, reserved] of [
      [0, 0],
      [0.5, 2],
      [3, 1],
      [-1, 0.5],
      [0.99, 0],
    ] as const) {
      expect(stripVTControlCharacters(bar(used, reserved, colour))).toHaveLength(24);
    }
    for (const line of topText([worker], { ...options, columns: 60 })
      .split("\n")
      .slice(6)) {
      expect(line.length).toBeLessThanOrEqual(60);
    }
  });

  test("counts the jobs that it leaves out, says when a worker is silent, and when there is none", () => {
    expect(topText([worker], { ...options, maxJobs: 1 })).toContain("and 1 more job");
    expect(topText([{ ...worker, atMs: nowMs - 9_000 }], options)).toContain("silent for 9 s");
    expect(topText([], options)).toContain("no worker is alive; start one with: headroom worker");
  });
});
