/** Processes that the governor stops for a while, or slows: all of the tree, without a cost in time limits or in what is learned. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ChunkEvents, UsageSample } from "../../../../src/worker/executor/chunk-request.ts";
import type { Step } from "../../../../src/worker/governor/step.ts";
import { ExecFixture, processesWith, type ChunkOutcome } from "../../../support/exec-fixture.ts";

const WAIT = { timeout: 10_000, interval: 10 };
const CHUNK = "held";

/** Counts to forty in 2 s where nothing stops it, and has a helper in a session of its own. */
const COUNTER = `mark=$1; setsid sh -c 'while :; do sleep 0.02; : $0; done' "$mark" & n=0
while [ $n -lt 40 ]; do n=$((n+1)); echo $n > "$2.count"; sleep 0.05; done; echo counted; kill $!`;

interface Running {
  readonly pid: number;
  readonly ended: Promise<ChunkOutcome>;
  readonly abort: AbortController;
  readonly samples: readonly UsageSample[];
  readonly path: string;
}

describe("a process that the governor holds", () => {
  let exec: ExecFixture;
  beforeEach(async () => {
    exec = await ExecFixture.open();
  });
  afterEach(async () => {
    await exec[Symbol.asyncDispose]();
  });

  const hold = (kind: Exclude<Step["kind"], "end">, pid: number) => {
    const about = { jobId: CHUNK, runId: "run-1", pid, message: kind };
    switch (kind) {
      case "suspend":
        exec.runner.enforce({ kind, reason: "memory-short", ...about });
        break;
      case "resume":
        exec.runner.enforce({ kind, reason: "room", ...about });
        break;
      case "slow":
        exec.runner.enforce({ kind, reason: "cpu-pressure", ...about });
        break;
      case "restore":
        exec.runner.enforce({ kind, reason: "calm", ...about });
    }
  };

  /** Starts the counter, and resolves once its tree is there. */
  async function count(timeoutMs = 60_000): Promise<Running> {
    const abort = new AbortController();
    const samples: UsageSample[] = [];
    const events: Partial<ChunkEvents> = { usage: (sample) => samples.push(sample) };
    const path = join(exec.scratch.path, "counter");
    const ended = exec.run([exec.script(COUNTER), exec.scratch.path, path], exec.files({ a: "1" }), {
      ...{ events, signal: abort.signal, request: { chunkId: CHUNK } },
      spec: { timeoutMs, killAfterMs: 300 },
    });
    await expect.poll(() => samples.at(-1)?.processes ?? 0, WAIT).toBeGreaterThan(1);
    return { pid: samples[0]?.pid ?? 0, ended, abort, samples, path: `${path}.count` };
  }

  test("stands still with all below it, goes on where it was, and has lost nothing", async () => {
    const { pid, ended, samples, path } = await count(4_000);
    hold("suspend", pid);
    await expect.poll(() => statesOf(exec.scratch.path), WAIT).toSatisfy(areStill);
    const countedTo = readFileSync(path, "utf8");
    const before = samples.length;
    const stoodFromMs = performance.now();
    // Longer than its time limit.
    await expect.poll(() => performance.now() - stoodFromMs, WAIT).toBeGreaterThan(4_500);
    expect(readFileSync(path, "utf8")).toBe(countedTo);
    expect(samples.length).toBeGreaterThan(before + 10);
    expect(samples.at(-1)?.elapsedMs).toBeLessThan(3_000);
    hold("resume", pid);
    const { only, end, measures } = await ended;
    expect(only).toMatchObject({ outcome: "succeeded", attempts: 1 });
    expect(exec.read(only.outputPath ?? "")).toBe("counted\n");
    expect(end.suspendedMs).toBeGreaterThan(4_400);
    expect(measures[0]?.durationMs).toBeLessThan((only.durationMs ?? 0) - 4_400);
    expect(processesWith(exec.scratch.path)).toEqual([]);
  });

  test("ends by the TERM of an abort all the same, and leaves nothing behind", async () => {
    const { pid, ended, abort } = await count();
    hold("suspend", pid);
    await expect.poll(() => statesOf(exec.scratch.path), WAIT).toSatisfy(areStill);
    const abortedMs = performance.now();
    abort.abort(new Error("cancelled"));
    expect((await ended).end).toMatchObject({ kind: "aborted" });
    expect(performance.now() - abortedMs).toBeLessThan(2_000);
    expect(processesWith(exec.scratch.path)).toEqual([]);
  });

  test("is ended while it stands still, and leaves nothing behind", async () => {
    const { pid, ended } = await count();
    hold("suspend", pid);
    await expect.poll(() => statesOf(exec.scratch.path), WAIT).toSatisfy(areStill);
    const about = { jobId: CHUNK, runId: "run-1", pid, peakBytes: 1, message: "time-limit" };
    exec.runner.enforce({ kind: "end", reason: "time-limit", ...about });
    expect((await ended).only).toMatchObject({ failureClass: "out-of-memory", signal: "SIGKILL" });
    expect(processesWith(exec.scratch.path)).toEqual([]);
  });

  test("is left alone when another one was meant", async () => {
    const { pid, ended } = await count();
    hold("suspend", pid + 100_000);
    const { only, end } = await ended;
    expect(only).toMatchObject({ outcome: "succeeded" });
    expect(end.suspendedMs).toBeUndefined();
  });

  test("has a lower priority in each thread of all below it, and its own again", async () => {
    const { pid, ended } = await count();
    const [base] = nicesOf(exec.scratch.path);
    hold("slow", pid);
    await expect.poll(() => nicesOf(exec.scratch.path), WAIT).toEqual([(base ?? 0) + 10]);
    hold("restore", pid);
    await expect.poll(() => nicesOf(exec.scratch.path), WAIT).toEqual([base]);
    expect((await ended).only).toMatchObject({ outcome: "succeeded" });
  });
});

/** Fields of /proc/PID/stat behind the name, of each process with this in its command line: each value once. */
function fieldsOf(mark: string, at: number): string[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const values = pids.flatMap((pid) => {
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(mark)) return [];
      const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
      return [stat.slice(stat.lastIndexOf(")") + 2).split(" ")[at] ?? ""];
    } catch {
      return []; // It ended in between.
    }
  });
  return [...new Set(values)];
}

const statesOf = (mark: string) => fieldsOf(mark, 0);

/** All are stopped; one that was about to start another (D, within vfork) stands as long as that one does. */
const areStill = (states: unknown[]) => states.includes("T") && states.every((state) => state === "T" || state === "D");
const nicesOf = (mark: string) => fieldsOf(mark, 16).map(Number);
