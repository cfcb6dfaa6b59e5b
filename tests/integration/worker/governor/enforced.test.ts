/** The rungs between "nothing more is admitted" and "one is ended", on a worker whose machine a test stages. */
import { describe, expect, test } from "vitest";
import { MiB } from "../../../../src/contract/resources.ts";
import type { RunningJob } from "../../../../src/contract/status.ts";
import { StagedWorker } from "../../../support/staged-worker.ts";

const [KEPT, OTHER] = [9_001, 9_002];

/** Two jobs with a process each. */
async function open(mebibytes: number): Promise<StagedWorker> {
  const stage = await new StagedWorker().start();
  for (const [jobId, pid, size] of [
    ["kept", KEPT, 40],
    ["other", OTHER, mebibytes],
  ] as const) {
    stage.begin(jobId, stage.ask(50, { queue: "exec.small@12" }));
    stage.runs(jobId, pid, size);
  }
  return stage;
}

function shown(stage: StagedWorker, jobId: string): RunningJob | undefined {
  return stage.governor.snapshot().running.find((job) => job.jobId === jobId);
}

const taken = ({ steps }: StagedWorker) => steps.map(({ kind, jobId, reason }) => `${kind} ${jobId} ${reason}`);

describe("a job that uses more cores than were reserved for it", () => {
  test("is slowed while tasks wait for cores, shown so, and given its share back when they do no more", async () => {
    await using stage = await open(40);
    let seconds = 0;
    const compute = async (periods: number, cpuSome: number) => {
      stage.flows.cpuSome = cpuSome;
      for (let period = 0; period < periods; period += 1) {
        seconds += 0.25;
        stage.computed(KEPT, seconds);
        stage.computed(OTHER, 3 * seconds);
        await stage.pass(250);
      }
    };
    await compute(12, 0);
    expect(taken(stage)).toEqual([]);
    await compute(16, 0.6);
    expect(taken(stage)).toEqual(["slow other cpu-pressure"]);
    expect(stage.steps[0]).toMatchObject({
      pid: OTHER,
      message: expect.stringMatching(/uses 3.* cores, 1 were/) as string,
    });
    expect(shown(stage, "other")?.enforced).toMatchObject({ state: "slowed" });
    expect(shown(stage, "kept")?.enforced).toBeNull();
    await compute(30, 0);
    expect(taken(stage)).toEqual(["slow other cpu-pressure", "restore other calm"]);
    expect(shown(stage, "other")?.enforced).toBeNull();
  });
});

describe("a job that nobody repeats, in danger", () => {
  test("stands still without an end in sight, goes on after a minute at the latest, and is not stopped again", async () => {
    await using stage = await open(600);
    stage.governor.describe("other", { isRetriable: false });
    stage.uses(955);
    while (stage.steps.length === 0) await stage.pass(250);
    expect(taken(stage)).toEqual(["suspend other memory-limit"]);
    expect(shown(stage, "other")).toMatchObject({
      enforced: { state: "suspended" },
      endsAtMs: null,
      rssBytes: 600 * MiB,
    });
    stage.uses(900);
    await stage.pass(55_000);
    expect(taken(stage)).toHaveLength(1);
    await stage.pass(6_000);
    expect(taken(stage).slice(1)).toEqual(["resume other time-limit"]);
    expect(shown(stage, "other")).toMatchObject({ enforced: null });
    stage.uses(955);
    await stage.pass(1_000);
    // Nobody repeats it, but the other one.
    expect(taken(stage).slice(2)).toEqual(["end kept memory-limit"]);
  });

  test("goes on at once when the worker drains", async () => {
    await using stage = await open(600);
    stage.governor.describe("other", { isRetriable: false });
    stage.uses(955);
    while (stage.steps.length === 0) await stage.pass(250);
    stage.uses(920);
    stage.governor.hold({ isDraining: true });
    await stage.pass(250);
    expect(taken(stage)).toEqual(["suspend other memory-limit", "resume other drain"]);
  });
});
