/** Folders of flows' runs, real ones: which go, and which must not. */
import { existsSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect } from "vitest";
import { checkFlow } from "../../../src/contract/flow-check.ts";
import { decideFolders, sweepRunFolders, type EndedFolder } from "../../../src/scheduler/run-folders.ts";
import { test } from "../../support/redis.ts";
import { openScheduler, type SchedulerFixture } from "../../support/scheduler-fixture.ts";

const DAY_MS = 86_400_000;
const START = "2026-01-01T00:00:00Z";

/** A flow's run that has ended, with an artifact of so many bytes; where its folder lies. */
async function endedFlow(at: SchedulerFixture, bytes = 10): Promise<{ id: string; folder: string }> {
  const run = await openFlow(at, bytes);
  await at.end(run.id);
  return run;
}

async function openFlow(at: SchedulerFixture, bytes: number): Promise<{ id: string; folder: string }> {
  const check = checkFlow({ version: 1, name: "f", nodes: [{ id: "a", kind: "exec", command: ["/bin/true"] }] });
  if (check.kind === "faulty") throw new TypeError(JSON.stringify(check.faults));
  const { id, spec } = await at.client.flows.runChecked(check.flow, { folder: join(at.folder, "runs") });
  const artifacts = spec.output.root;
  mkdirSync(artifacts, { recursive: true });
  writeFileSync(join(artifacts, "a"), Buffer.alloc(bytes));
  return { id, folder: dirname(artifacts) };
}

function after(at: SchedulerFixture, days: number): void {
  at.clock.set(new Date(Date.parse(START) + days * DAY_MS).toISOString());
}

describe("folders of flows' runs", () => {
  test("go when they are too old, and those of runs that go on stay", async ({ redis, prefix }) => {
    await using at = await openScheduler(redis, prefix, START);
    const old = await endedFlow(at);
    const open = await openFlow(at, 10);
    after(at, 5);
    const young = await endedFlow(at);
    after(at, 8);
    expect(await sweepRunFolders(at.deps(), {})).toEqual([]);
    const removed = await sweepRunFolders(at.deps(), { folder_days: 7 });
    expect(removed.map(({ folder }) => folder)).toEqual([old.folder]);
    expect([old, open, young].map(({ folder }) => existsSync(folder))).toEqual([false, true, true]);
    expect((await at.store.runs.get(old.id))?.state).toBe("succeeded");
  });

  test("go, the oldest first, while all together take more than is allowed", async ({ redis, prefix }) => {
    await using at = await openScheduler(redis, prefix, START);
    const folders: string[] = [];
    for (let day = 0; day < 4; day += 1) {
      after(at, day);
      folders.push((await endedFlow(at, 1_000)).folder);
    }
    await sweepRunFolders(at.deps(), { folder_max: 2_500 });
    expect(folders.map((folder) => existsSync(folder))).toEqual([false, false, true, true]);
  });

  test("are removed as what they are: a link is not followed, and what one names is not touched", async ({
    redis,
    prefix,
  }) => {
    await using at = await openScheduler(redis, prefix, START);
    const [linked, holder] = [await endedFlow(at), await endedFlow(at)];
    const other = join(at.folder, "precious");
    mkdirSync(other);
    writeFileSync(join(other, "file"), "kept");
    renameSync(linked.folder, join(at.folder, "moved"));
    symlinkSync(other, linked.folder);
    symlinkSync(other, join(holder.folder, "link"));
    after(at, 8);
    const removed = await sweepRunFolders(at.deps(), { folder_days: 7, folder_max: 0 });
    expect(removed.map(({ runId }) => runId)).toEqual([holder.id]);
    expect(existsSync(holder.folder)).toBe(false);
    expect(readFileSync(join(linked.folder, "file"), "utf8")).toBe("kept");
  });

  test("that are put aside when a worker resumes their run come back, and what a crash left aside goes", async ({
    redis,
    prefix,
  }) => {
    await using at = await openScheduler(redis, prefix, START);
    const [resumed, crashed] = [await endedFlow(at), await endedFlow(at)];
    const aside = join(crashed.folder, `../.${crashed.folder.split("/").at(-1) ?? ""}.removed`);
    renameSync(crashed.folder, aside);
    after(at, 8);
    const deps = at.deps();
    const store = {
      runs: {
        list: deps.store.runs.list.bind(deps.store.runs),
        // Between the decision and the last look.
        get: async (id: string) => {
          const run = await deps.store.runs.get(id);
          return run === undefined ? undefined : await deps.store.runs.reopen(id, run.spec, at.clock.nowMs());
        },
      } as typeof deps.store.runs,
    };
    expect(await sweepRunFolders({ ...deps, store }, { folder_days: 7 })).toEqual([]);
    expect(existsSync(join(resumed.folder, "artifacts/a"))).toBe(true);
    expect(existsSync(aside)).toBe(false);
  });

  test("of runs over files are never looked at, wherever they lie", async ({ redis, prefix }) => {
    await using at = await openScheduler(redis, prefix, START);
    writeFileSync(join(at.folder, "a"), "a");
    const { run } = await at.client.run(at.request({ output: { root: join(at.folder, "out"), from: "none" } }));
    mkdirSync(join(at.folder, "out"));
    await at.end(run.id);
    after(at, 400);
    expect(await sweepRunFolders(at.deps(), { folder_days: 1, folder_max: 0 })).toEqual([]);
    expect(existsSync(join(at.folder, "out"))).toBe(true);
  });
});

test("age comes first, then room", () => {
  const folder = (runId: string, endedAtMs: number, bytes: number): EndedFolder => ({
    runId,
    folder: "",
    endedAtMs,
    bytes,
  });
  const all = [folder("c", 3 * DAY_MS, 5), folder("a", DAY_MS, 5), folder("b", 2 * DAY_MS, 5)];
  const ids = (rules: object, nowMs: number) => decideFolders(all, rules, nowMs).map(({ runId }) => runId);
  expect(ids({ folder_days: 2 }, 3.5 * DAY_MS)).toEqual(["a"]);
  expect(ids({ folder_max: 10 }, 0)).toEqual(["a"]);
  expect(ids({ folder_max: 9 }, 0)).toEqual(["a", "b"]);
  expect(ids({ folder_max: 0 }, 0)).toEqual(["a", "b", "c"]);
  expect(ids({ folder_days: 2, folder_max: 5 }, 3.5 * DAY_MS)).toEqual(["a", "b"]);
  expect(ids({}, 1_000 * DAY_MS)).toEqual([]);
});
