/**
 * Bar: enqueue-to-start of a single file on an idle cluster, p99 at most twice that of a bare BullMQ worker.
 *
 * Both sides take turns in one process, on one Redis, one sample after the other, each on an idle cluster. Two moments are
 * measured on each side, from the enqueuing call on:
 * - `process`, the start of the file: the first byte that the started process writes has come back. The processor of the
 *   bare worker starts the same command with Node's `spawn`, and does none of the rest: no digests, no journal, no fence,
 *   no row;
 * - `handler`, before that: the worker holds the job and calls its code, the processor there, the handler here. Here a job
 *   is checked, part of a flow and admitted by then; there it is none of that.
 *
 * What else the machine does is told by the tail: on a busy one, run this with `chrt -r 5`.
 */
import { Queue, Worker } from "bullmq";
import { execFileSync, spawn } from "node:child_process";
import { constants, mkdirSync, openSync, writeFileSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { closeRedis, openRedis } from "../src/platform/redis.ts";
import { benchLogger, startBenchCluster } from "./shared/cluster.ts";
import { quantile, report, round, scratch } from "./shared/support.ts";

const SAMPLES = Number(process.env["BENCH_SAMPLES"] ?? 500);
const WARM_UP = 50;
/** For what is still written down after a run has ended: the cluster is idle at each call. */
const GAP_MS = 30;

interface Sample {
  readonly handler: number;
  readonly process: number;
}

using folder = scratch("latency");
const fifo = join(folder.path, "fifo");
mkdirSync(join(folder.path, "in"));
writeFileSync(join(folder.path, "in", "file"), "content");
execFileSync("mkfifo", [fifo]);
const command = ["/bin/sh", "-c", 'echo >"$0"', fifo] as const;

let onHandler: () => void = () => undefined;
let onProcess: () => void = () => undefined;
// Open for writing too, so that it does not end with its first writer.
const told = new Socket({ fd: openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK), readable: true });
told.on("data", () => {
  onProcess();
});

/** Calls and waits for both moments; milliseconds from the call. */
async function measure(call: () => Promise<void>): Promise<Sample> {
  const from = performance.now();
  const since = () => performance.now() - from;
  const handler = new Promise<number>((resolve) => {
    onHandler = () => {
      resolve(since());
    };
  });
  const started = new Promise<number>((resolve) => {
    onProcess = () => {
      resolve(since());
    };
  });
  await call();
  return { handler: await handler, process: await started };
}

await using cluster = await startBenchCluster({
  folder: folder.path,
  onClaim: (jobName) => {
    if (jobName === "exec") onHandler();
  },
});
const connection = openRedis(cluster.redis.url, "blocking", benchLogger);
const queue = new Queue("bare", { connection });
const worker = new Worker(
  "bare",
  () => {
    onHandler();
    const child = spawn(command[0], command.slice(1), { stdio: "ignore" });
    return new Promise((resolve) => child.once("exit", resolve));
  },
  { connection },
);
await worker.waitUntilReady();

const bare = () =>
  measure(async () => {
    await queue.add("file", { path: "file" }, { removeOnComplete: true });
  });

async function ours(): Promise<Sample> {
  let id = "";
  const sample = await measure(async () => {
    const { run } = await cluster.client.run({
      command: [...command],
      input: { kind: "list", root: join(folder.path, "in"), paths: ["file"] },
      output: { from: "none", root: folder.path },
    });
    id = run.id;
  });
  await cluster.client.wait(id);
  return sample;
}

const samples = { bare: [] as Sample[], ours: [] as Sample[] };
for (let at = 0; at < SAMPLES + WARM_UP; at += 1) {
  const pair = { bare: await bare(), ours: { handler: 0, process: 0 } };
  await sleep(GAP_MS);
  pair.ours = await ours();
  await sleep(GAP_MS);
  if (at < WARM_UP) continue;
  samples.bare.push(pair.bare);
  samples.ours.push(pair.ours);
}
await worker.close();
await queue.close();
await closeRedis(connection);
told.destroy();

function figures(moment: keyof Sample) {
  const [theirs, own] = [samples.bare, samples.ours].map((side) => side.map((sample) => sample[moment]));
  const ms = (values: readonly number[] = []) =>
    Object.fromEntries([50, 95, 99].map((percent) => [`p${percent}`, round(quantile(values, percent / 100))]));
  const ratio = (share: number) => round(quantile(own ?? [], share) / quantile(theirs ?? [], share));
  return { bullmqMs: ms(theirs), headroomMs: ms(own), ratioP50: ratio(0.5), ratioP99: ratio(0.99) };
}

report("start-latency", {
  samples: SAMPLES,
  process: figures("process"),
  handler: figures("handler"),
  bar: "process.ratioP99 <= 2",
});
