/** What workers leave alone while their gates are closed. `CLOSED_SECONDS` says how long they are: a minute is the bar. */
import { expect, test } from "vitest";
import { ALL_WORKERS } from "../../../src/contract/limits.ts";
import { resetLimits, setLimits } from "../../../src/platform/limits.ts";
import { loadHeartbeats } from "../../../src/platform/worker-heartbeats.ts";
import { FaultCluster, kp, PATIENT } from "../../support/fault-cluster.ts";
import { quietLogger } from "../../support/quiet-logger.ts";

const CLOSED_SECONDS = Number(process.env["CLOSED_SECONDS"] ?? 0);

/** How often each job was fetched: BullMQ writes an event each time, however short a worker held it. */
async function fetches(cluster: FaultCluster, queue: string): Promise<number[]> {
  const counts = new Map<string, number>();
  for (const [, fields] of await cluster.keys.xrange(`${kp}:${queue}:events`, "-", "+")) {
    const event = Object.fromEntries(fields.flatMap((name, at) => (at % 2 === 0 ? [[name, fields[at + 1]]] : [])));
    const { event: kind, jobId } = event as { event?: string; jobId?: string };
    if (kind === "active" && jobId !== undefined) counts.set(jobId, (counts.get(jobId) ?? 0) + 1);
  }
  return [...counts.values()];
}

test(
  "three workers whose gates are closed fetch nothing, and each job once when they open",
  { timeout: 120_000 + 1_000 * CLOSED_SECONDS },
  async () => {
    await using cluster = await FaultCluster.open();
    const limits = { redis: cluster.keys, kp, logger: quietLogger };
    await setLimits(limits, ALL_WORKERS, { paused: true });
    cluster.files(8);
    const paths = [...cluster.golden.keys()];
    const spec = cluster.spec("true", { chunk: { maxFiles: 1 }, input: { kind: "list", root: cluster.input, paths } });
    const runId = await cluster.run(spec);
    for (const id of ["a", "b", "c"]) await cluster.worker({ id });
    const queueOf = async () => (await cluster.queues.list()).find(({ name }) => name.startsWith("exec."))?.name ?? "";
    const queue = await queueOf();
    const closed = async () => {
      const beats = await loadHeartbeats(cluster.keys, kp);
      return beats.map(({ waiting }) => waiting.find((wait) => wait.queue === queue)?.code);
    };
    await expect.poll(closed, PATIENT).toEqual(["PAUSED", "PAUSED", "PAUSED"]);
    // By the clock of the workers, as their heartbeats have it.
    const closedSeconds = async () => {
      const beats = await loadHeartbeats(cluster.keys, kp);
      const seconds = beats.map(({ atMs, waiting }) => {
        const sinceMs = waiting.find((wait) => wait.queue === queue)?.sinceMs ?? atMs;
        return (atMs - sinceMs) / 1_000;
      });
      return Math.min(...seconds);
    };
    const patience = { ...PATIENT, timeout: PATIENT.timeout + 1_000 * CLOSED_SECONDS };
    await expect.poll(closedSeconds, patience).toBeGreaterThanOrEqual(CLOSED_SECONDS);
    expect(await fetches(cluster, queue)).toEqual([]);
    expect(await cluster.queues.queue(queue).getJobCounts("active", "waiting")).toEqual({ active: 0, waiting: 8 });
    await resetLimits(limits, undefined);
    expect((await cluster.ended(runId)).counts).toMatchObject({ succeeded: 8 });
    expect(await fetches(cluster, queue)).toEqual(Array(8).fill(1));
  },
);
