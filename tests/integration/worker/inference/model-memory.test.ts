/** Chunks of a model reserve what its engine was seen to take, however the run was asked for. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { bucketBytes } from "../../../../src/contract/profiles.ts";
import { parseQueueName } from "../../../../src/contract/queues.ts";
import { MiB } from "../../../../src/contract/resources.ts";
import { JobQueues } from "../../../../src/platform/job-queues.ts";
import type { FlowCluster } from "../../../support/flow-cluster.ts";
import { startFlowIntake } from "../../../support/flow-intake.ts";
import { hungryModel, modelFolder } from "../../../support/tiny-onnx.ts";

const FILES = 12;
const DEFAULT_BYTES = 128 * MiB;

/** The bytes reserved for each chunk of a model that has ended and was not there before. */
async function reservedOf(cluster: FlowCluster, before: ReadonlySet<string>): Promise<Map<string, number>> {
  const queues = new JobQueues(cluster.redis, cluster.kp);
  const reserved = new Map<string, number>();
  try {
    for (const { name } of await queues.list()) {
      const { jobName, bucket } = parseQueueName(name);
      if (jobName !== "infer") continue;
      for (const { id = "" } of await queues.queue(name).getCompleted()) {
        if (!before.has(id)) reserved.set(id, bucketBytes(bucket));
      }
    }
  } finally {
    await queues.close();
  }
  return reserved;
}

test("chunks from the HTTP intake, the client and a flow reserve what the engine was seen to take", async () => {
  await using intake = await startFlowIntake();
  const { cluster } = intake;
  const { scratch } = cluster;
  // A row takes 16 MB, so that its batches take more than the default reservation.
  const model = modelFolder(scratch, "model", hungryModel(), {
    task: "regress",
    input: { kind: "bytes", tensor: "x", windows: [{ at: "head", length: 2_000 }], empty: "pad" },
    output: { tensor: "y" },
    batch: { max_rows: 16 },
  });
  for (let at = 0; at < FILES; at += 1) scratch.file(`in/f${at}`, Buffer.from([1]));
  const input = join(scratch.path, "in");
  const about = { executor: "infer" as const, command: [model], input, chunk: { maxFiles: 2 } };
  const seen = new Set<string>();
  const ended = async (runId: string) => {
    const { rows, status } = await cluster.ended(runId);
    expect(status.state).toBe("succeeded");
    const reserved = await reservedOf(cluster, seen);
    for (const id of reserved.keys()) seen.add(id);
    return { peak: Math.max(...rows.map(({ peakBytes }) => peakBytes ?? 0)), reserved };
  };

  const started = await intake.ask("POST /v1/runs", { body: { ...about, output: scratch.folder("out/http") } });
  const first = await ended(String(started.body["id"]));
  expect(first.peak).toBeGreaterThan(DEFAULT_BYTES);
  // The first chunk alone could not know.
  expect(Math.max(...first.reserved.values())).toBeGreaterThanOrEqual(first.peak);
  expect([...first.reserved.values()].filter((bytes) => bytes >= first.peak).length).toBeGreaterThanOrEqual(4);

  const { run } = await cluster.client.run({ ...about, output: scratch.folder("out/client") });
  const second = await ended(run.id);
  expect(second.reserved.size).toBeGreaterThanOrEqual(6);
  expect(Math.min(...second.reserved.values())).toBeGreaterThanOrEqual(second.peak);

  const flow = await cluster.run({ nodes: [{ id: "node", kind: "infer", model, input }] });
  expect(flow.outcomes).toEqual({ node: "succeeded" });
  const third = await reservedOf(cluster, seen);
  expect(third.size).toBeGreaterThanOrEqual(1);
  expect(Math.min(...third.values())).toBeGreaterThanOrEqual(second.peak);
});
