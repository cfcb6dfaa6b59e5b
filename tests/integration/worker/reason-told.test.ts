/** How soon a worker tells the cluster why a queue waits: scenario 16 of docs/governor-scenarios.md. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { ALL_WORKERS } from "../../../src/contract/limits.ts";
import { resetLimits, setLimits } from "../../../src/platform/limits.ts";
import { loadHeartbeats } from "../../../src/platform/worker-heartbeats.ts";
import { FaultCluster, kp, PATIENT } from "../../support/fault-cluster.ts";
import { quietLogger } from "../../support/quiet-logger.ts";

const ROUNDS = 6;
/** A heartbeat each second alone would be later than this half of the time. */
const LATE_MS = 500;

test(
  "a reason is told as soon as it holds, not with the next heartbeat of the second",
  { timeout: 120_000 },
  async () => {
    await using cluster = await FaultCluster.open();
    const limits = { redis: cluster.keys, kp, logger: quietLogger };
    cluster.files(ROUNDS);
    await cluster.worker({ id: "a" });
    const lateMs: number[] = [];
    for (const path of cluster.golden.keys()) {
      await setLimits(limits, ALL_WORKERS, { paused: true });
      const input = { kind: "list" as const, root: cluster.input, paths: [path] };
      // A profile of its own: a queue that nothing waited in before, of which nothing was told.
      const profile = `round-${lateMs.length}`;
      const spec = cluster.spec("true", { chunk: { maxFiles: 1 }, input, profile });
      const runId = await cluster.run({ ...spec, output: { ...spec.output, root: join(spec.output.root, profile) } });
      let seenMs: number | undefined;
      const firstTold = async () => {
        const [beat] = await loadHeartbeats(cluster.keys, kp);
        const wait = beat?.waiting.find(({ queue, code }) => queue.startsWith("exec.") && code === "PAUSED");
        // By the worker's own clock: when it was told, after it began to hold.
        if (beat !== undefined && wait !== undefined) seenMs = beat.atMs - (wait.sinceMs ?? 0);
        return wait?.code;
      };
      await expect.poll(firstTold, { ...PATIENT, interval: 10 }).toBe("PAUSED");
      lateMs.push(seenMs ?? Infinity);
      await resetLimits(limits, undefined);
      expect((await cluster.ended(runId)).counts).toMatchObject({ succeeded: 1 });
    }
    expect(lateMs).toHaveLength(ROUNDS);
    expect(Math.max(...lateMs)).toBeLessThanOrEqual(LATE_MS);
  },
);
