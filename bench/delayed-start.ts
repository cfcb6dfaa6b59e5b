/**
 * Bar: a delayed job starts at most 20 ms after it is due (p95), on an idle cluster.
 *
 * The delayed job of ours is a file that is tried again: its command fails the first time. The other side is a delayed job
 * of a bare BullMQ worker, in the same process, on the same Redis; both sides take turns. When a job is due and when it was
 * fetched is what BullMQ itself writes to the events of its queue, by the clock of Redis.
 */
import { Queue, Worker } from "bullmq";
import type { Redis } from "ioredis";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { keyPrefix } from "../src/contract/queues.ts";
import { JobQueues } from "../src/platform/job-queues.ts";
import { closeRedis, openRedis } from "../src/platform/redis.ts";
import { benchLogger, PREFIX, startBenchCluster } from "./shared/cluster.ts";
import { quantile, report, round, scratch } from "./shared/support.ts";

const SAMPLES = Number(process.env["BENCH_SAMPLES"] ?? 200);
const DELAY_MS = 200;

using folder = scratch("delayed");
mkdirSync(join(folder.path, "in"));
writeFileSync(join(folder.path, "in", "file"), "content");
await using cluster = await startBenchCluster({ folder: folder.path });
const connection = openRedis(cluster.redis.url, "blocking", benchLogger);
const reading = openRedis(cluster.redis.url, "command", benchLogger);
const queue = new Queue("bare", { connection });
let onBare: () => void = () => undefined;
const worker = new Worker(
  "bare",
  () => {
    onBare();
    return Promise.resolve();
  },
  { connection },
);
await worker.waitUntilReady();

async function bare(): Promise<void> {
  const started = new Promise<void>((resolve) => {
    onBare = resolve;
  });
  await queue.add("file", {}, { delay: DELAY_MS, removeOnComplete: true });
  await started;
}

async function ours(at: number): Promise<void> {
  const retry = { attempts: 2, backoffMs: DELAY_MS, backoffFactor: 1, maxBackoffMs: DELAY_MS };
  const { run } = await cluster.client.run({
    command: ["/bin/sh", "-c", 'test -e "$0" || { : > "$0"; exit 1; }', join(folder.path, `tried-${at}`)],
    input: { kind: "list", root: join(folder.path, "in"), paths: ["file"] },
    output: { from: "none", root: folder.path },
    retry: { exit: retry },
  });
  const { counts } = await cluster.client.wait(run.id);
  if (counts.succeeded !== 1) throw new Error(`expected the second try to succeed, found ${JSON.stringify(counts)}`);
}

/** How late each delayed job of a queue was fetched, in ms. */
async function lateness(redis: Redis, events: string): Promise<number[]> {
  const due = new Map<string, number>();
  const late: number[] = [];
  for (const [id, fields] of await redis.xrange(events, "-", "+")) {
    const event = Object.fromEntries(fields.flatMap((name, at) => (at % 2 === 0 ? [[name, fields[at + 1]]] : [])));
    const { event: kind, jobId = "", delay } = event as Record<string, string | undefined>;
    if (kind === "delayed") due.set(jobId, Number(delay));
    const dueMs = due.get(jobId);
    if (kind !== "active" || dueMs === undefined) continue;
    late.push(Number(id.split("-")[0]) - dueMs);
    due.delete(jobId);
  }
  return late;
}

for (let at = 0; at < SAMPLES; at += 1) {
  await bare();
  await ours(at);
}
const kp = keyPrefix(PREFIX);
const queues = new JobQueues(reading, kp);
const places = (await queues.list()).filter(({ name }) => name.startsWith("exec."));
const own = (await Promise.all(places.map(({ name }) => lateness(reading, `${kp}:${name}:events`)))).flat();
const theirs = await lateness(reading, "bull:bare:events");
await queues.close();
await worker.close();
await queue.close();
await closeRedis(connection);
await closeRedis(reading);

const ms = (values: readonly number[]) =>
  Object.fromEntries([50, 95, 99, 100].map((percent) => [`p${percent}`, round(quantile(values, percent / 100))]));
report("delayed-start", {
  samples: { bullmq: theirs.length, headroom: own.length },
  bullmqLateMs: ms(theirs),
  headroomLateMs: ms(own),
  bar: "headroomLateMs.p95 <= 20",
});
