/** Two schedulers as real processes: whoever leads, each time of a schedule starts one run, and only a leader acts. */
import { expect, test } from "vitest";
import { loadLeader } from "../../../src/platform/leader.ts";
import { FaultCluster, kp, PATIENT } from "../../support/fault-cluster.ts";

/** What is promised of a takeover. */
const TAKEOVER_MS = 10_000;

async function withSchedule(cluster: FaultCluster): Promise<void> {
  cluster.files(1);
  const run = {
    command: ["/bin/true", "{input}"],
    input: cluster.input,
    output: { root: cluster.output, from: "none" },
  };
  await cluster.client.schedules.create("s", { every: "1s", overlap: "queue", run });
}

async function leaderOf(cluster: FaultCluster): Promise<string | undefined> {
  return (await loadLeader(cluster.keys, kp))?.holder;
}

/** Every second from the first start to the last has one start, with one run. */
async function expectOneRunPerTime(cluster: FaultCluster): Promise<void> {
  const starts = (await cluster.store.schedules.starts("s", 500)).toReversed();
  const runs = await cluster.store.runs.list({ limit: 500 });
  const started = starts.filter(({ state }) => state === "started");
  expect(new Set(started.map(({ runId }) => runId)).size).toBe(started.length);
  expect(new Set(runs.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(runs.length);
  expect(runs.every(({ idempotencyKey }) => idempotencyKey?.startsWith("schedule:s:") === true)).toBe(true);
  const times = starts.map(({ timeMs }) => timeMs);
  expect(times).toEqual(times.map((_, at) => (times[0] ?? 0) + at * 1_000));
}

test("a standby leads within ten seconds of the leader's death, and goes on where it was", async () => {
  await using cluster = await FaultCluster.open();
  await withSchedule(cluster);
  await cluster.worker();
  const first = await cluster.scheduler({ id: "first" });
  await expect.poll(() => leaderOf(cluster), PATIENT).toBe("first");
  await cluster.scheduler({ id: "second" });
  await expect.poll(async () => (await cluster.store.schedules.lastStarted("s", 9)).length, PATIENT).toBeGreaterThan(1);
  const before = await loadLeader(cluster.keys, kp);
  first.child.kill("SIGKILL");
  const killedAtMs = performance.now();
  await expect.poll(() => leaderOf(cluster), PATIENT).toBe("second");
  expect(performance.now() - killedAtMs).toBeLessThan(TAKEOVER_MS);
  const ledAtMs = Date.now();
  const after = await loadLeader(cluster.keys, kp);
  expect(after?.token).toBeGreaterThan(before?.token ?? Infinity);
  // What came while nobody led is started as well: it was not late enough to be missed.
  await expect
    .poll(async () => (await cluster.store.schedules.lastStarted("s", 1))[0]?.timeMs, PATIENT)
    .toBeGreaterThan(ledAtMs);
  await expectOneRunPerTime(cluster);
});

test("a leader that was stopped and wakes late does not act any more", async () => {
  await using cluster = await FaultCluster.open();
  await withSchedule(cluster);
  await cluster.worker();
  const first = await cluster.scheduler({ id: "first", logLevel: "info" });
  await expect.poll(() => leaderOf(cluster), PATIENT).toBe("first");
  const second = await cluster.scheduler({ id: "second", logLevel: "info" });
  const old = (await loadLeader(cluster.keys, kp))?.token ?? 0;
  await expect.poll(async () => (await cluster.store.schedules.lastStarted("s", 9)).length, PATIENT).toBeGreaterThan(1);
  await cluster.stall([first]);
  const stoppedAtMs = performance.now();
  await expect.poll(() => leaderOf(cluster), PATIENT).toBe("second");
  expect(performance.now() - stoppedAtMs).toBeLessThan(TAKEOVER_MS);
  await expect.poll(() => second.output().includes("this scheduler leads"), PATIENT).toBe(true);
  const token = (await loadLeader(cluster.keys, kp))?.token ?? 0;
  // The connection of the old term is closed while its process still stands.
  const names = String(await cluster.keys.call("CLIENT", "LIST"));
  expect(names).toContain(`headroom-leader-${kp}-${token}`);
  expect(names).not.toContain(`headroom-leader-${kp}-${old}`);
  const wokenAtMs = Date.now();
  first.child.kill("SIGCONT");
  await expect.poll(() => first.output().includes("this scheduler leads no more"), PATIENT).toBe(true);
  await expect
    .poll(async () => (await cluster.store.schedules.lastStarted("s", 1))[0]?.timeMs, PATIENT)
    .toBeGreaterThan(wokenAtMs + 3_000);
  const late = (await cluster.store.schedules.starts("s", 500)).filter(({ atMs }) => atMs > wokenAtMs);
  expect(late.length).toBeGreaterThan(2);
  expect(new Set(late.map(({ term }) => term))).toEqual(new Set([token]));
  expect(await leaderOf(cluster)).toBe("second");
  await expectOneRunPerTime(cluster);
});
