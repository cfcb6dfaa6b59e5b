/**
 * Bar: enqueue-to-start of a single file on an idle cluster, p99 at most twice that of a bare BullMQ worker. From the
 * enqueuing call to the first line of the handler, one after the other, both sides in turn in one process.
 */
import { Queue, Worker } from "bullmq";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { closeRedis, openRedis } from "../src/platform/redis.ts";
import { benchLogger, startBenchCluster } from "./cluster.ts";
import { quantile, report, round, scratch } from "./support.ts";

const SAMPLES = Number(process.env["BENCH_SAMPLES"] ?? 500);
const WARM_UP = 50;
const GAP_MS = 5;

using folder = scratch("latency");
mkdirSync(join(folder.path, "in"));
writeFileSync(join(folder.path, "in", "file"), "content");

let onStart: () => void = () => undefined;
const nextStart = () =>
  new Promise<number>(
    (resolve) =>
      (onStart = () => {
        resolve(performance.now());
      }),
  );

await using cluster = await startBenchCluster({
  folder: folder.path,
  onClaim: (jobName) => {
    if (jobName === "exec") onStart();
  },
});
const connection = openRedis(cluster.redis.url, "blocking", benchLogger);
const queue = new Queue("bare", { connection });
const worker = new Worker(
  "bare",
  () => {
    onStart();
    return Promise.resolve();
  },
  { connection },
);
await worker.waitUntilReady();

async function bare(): Promise<number> {
  const started = nextStart();
  const from = performance.now();
  await queue.add("file", { path: "file" }, { removeOnComplete: true });
  return (await started) - from;
}

async function ours(): Promise<number> {
  const started = nextStart();
  const from = performance.now();
  const { run } = await cluster.client.run({
    command: ["/bin/true"],
    input: { kind: "list", root: join(folder.path, "in"), paths: ["file"] },
    output: { from: "none", root: folder.path },
  });
  const took = (await started) - from;
  await cluster.client.wait(run.id);
  return took;
}

const times = { bare: [] as number[], ours: [] as number[] };
for (let at = 0; at < SAMPLES + WARM_UP; at += 1) {
  const pair = { bare: await bare(), ours: 0 };
  await sleep(GAP_MS);
  pair.ours = await ours();
  await sleep(GAP_MS);
  if (at < WARM_UP) continue;
  times.bare.push(pair.bare);
  times.ours.push(pair.ours);
}
await worker.close();
await queue.close();
await closeRedis(connection);
const p = (values: readonly number[], share: number) => round(quantile(values, share));
report("start-latency", {
  samples: SAMPLES,
  bullmqMs: { p50: p(times.bare, 0.5), p95: p(times.bare, 0.95), p99: p(times.bare, 0.99) },
  headroomMs: { p50: p(times.ours, 0.5), p95: p(times.ours, 0.95), p99: p(times.ours, 0.99) },
  ratioP50: round(quantile(times.ours, 0.5) / quantile(times.bare, 0.5)),
  ratioP99: round(quantile(times.ours, 0.99) / quantile(times.bare, 0.99)),
  bar: "ratioP99 <= 2",
});
