/** What a worker that has nothing to do asks Redis for, and how soon it starts what comes then. */
import { expect, test } from "vitest";
import { keys } from "../../../src/contract/queues.ts";
import { CommandMonitor, type SentCommand } from "../../support/command-monitor.ts";
import { FaultCluster, kp } from "../../support/fault-cluster.ts";

/** A second each. By then empty queues are looked at every eight seconds. */
const BEATS = 16;
/** The bar of the scenario is 10. */
const MOST_PER_SECOND = 6;
/** Sooner than the next look at an empty queue would be, on a machine that is busy with other things. */
const SOON_MS = 2_000;

test(
  "an idle worker that served runs of two profiles sends few commands, and still starts at once",
  { timeout: 120_000 },
  async () => {
    await using cluster = await FaultCluster.open();
    const worker = await cluster.worker({ id: "node", lockMs: 30_000 });
    cluster.files(2);
    const spec = (profile: string, out: string) =>
      cluster.spec("true", { profile, output: { root: cluster.scratch.folder(out), from: "file" } });
    for (const profile of ["default", "other"]) await cluster.ended(await cluster.run(spec(profile, profile)));

    await using monitor = await CommandMonitor.open(cluster.keys);
    const beat = () => monitor.next(({ args }) => args.includes(keys.worker(kp, "node")));
    await beat();
    const before = monitor.sent.length;
    for (let beats = 0; beats < BEATS; beats += 1) await beat();
    const sent = monitor.sent.slice(before);
    expect(sent.length / BEATS, told(sent)).toBeLessThan(MOST_PER_SECOND);

    const startedMs = performance.now();
    const claims = worker.output().length;
    const run = await cluster.run(spec("default", "again"));
    await expect.poll(() => worker.output().slice(claims), { interval: 5 }).toContain("claimed exec");
    expect(performance.now() - startedMs).toBeLessThan(SOON_MS);
    await cluster.ended(run);
  },
);

/** How often each command was sent. */
function told(sent: readonly SentCommand[]): string {
  const counts = new Map<string, number>();
  for (const { name, args } of sent) {
    const what = `${name} ${args.find((arg) => arg.startsWith(kp)) ?? ""}`;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return JSON.stringify(Object.fromEntries(counts));
}
