/**
 * Bars: flows of nodes that do nothing, from the starting call to the end of the run with a row per node, against a bare
 * BullMQ worker (concurrency 50) with as many no-op jobs without edges on the same Redis: a node, a fan-out, a node that
 * needs all of it (1 → N → 1), and a lattice whose nodes need two of the row before. And how long after the end of the last
 * node that it needs a node starts, while nodes become ready at a steady rate.
 */
import { Queue, Worker } from "bullmq";
import { join } from "node:path";
import { checkFlow, type CheckedFlow } from "../src/contract/flow-check.ts";
import type { FlowDocumentInput } from "../src/contract/flows.ts";
import { systemClock } from "../src/platform/clock.ts";
import { closeRedis, openRedis } from "../src/platform/redis.ts";
import { benchLogger, startBenchCluster, type BenchCluster } from "./shared/cluster.ts";
import { median, quantile, report, round, scratch } from "./shared/support.ts";

const WIDTH = Number(process.env["BENCH_WIDTH"] ?? 10_000);
const ROWS = Number(process.env["BENCH_ROWS"] ?? 200);
const COLUMNS = Number(process.env["BENCH_COLUMNS"] ?? 50);
const PAIRS = Number(process.env["BENCH_PAIRS"] ?? 1_000);
const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 3);
const READY_PER_SECOND = 100;
const CONCURRENCY = 50;
const ADD_BULK = 1_000;

type Nodes = FlowDocumentInput["nodes"];

/** So small that as many are let in as there are slots. */
const nothing = { kind: "exec" as const, command: ["/bin/true"], resources: { cpu: 0.02, memory: "1MiB" } };

function fan(width: number): Nodes {
  const items = Array.from({ length: width }, (_, at) => at);
  return [
    { ...nothing, id: "first" },
    { ...nothing, id: "each", needs: ["first"], foreach: items },
    { ...nothing, id: "last", needs: ["each"] },
  ];
}

function lattice(rows: number, columns: number): Nodes {
  const id = (row: number, column: number) => `n-${row}-${column % columns}`;
  return Array.from({ length: rows * columns }, (_, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    const needs = row === 0 ? [] : [id(row - 1, column), id(row - 1, column + 1)];
    return { ...nothing, id: id(row, column), needs };
  });
}

/** Nodes that wait for a person, and a node behind each. */
function pairs(count: number): Nodes {
  return Array.from({ length: count }, (_, at) => [
    { id: `gate-${at}`, kind: "gate" as const, message: "now?" },
    { ...nothing, id: `next-${at}`, needs: [`gate-${at}`] },
  ]).flat();
}

function checked(name: string, nodes: Nodes): CheckedFlow {
  const check = checkFlow({ version: 1, name, nodes });
  if (check.kind === "valid") return check.flow;
  throw new Error(check.faults.map(({ where, found }) => `${where}: ${found}`).join("\n"));
}

async function start(cluster: BenchCluster, folder: string, flow: CheckedFlow): Promise<string> {
  const run = await cluster.client.flows.start(flow, {
    ...{ inputs: {}, base: folder, binaries: {}, agents: {}, isNoop: true },
    folder: (id) => join(folder, id),
  });
  return run.id;
}

async function secondsOf(cluster: BenchCluster, folder: string, nodes: Nodes, rows: number): Promise<number> {
  const flow = checked("edges", nodes);
  const startedMs = performance.now();
  const ended = await cluster.client.wait(await start(cluster, folder, flow));
  const seconds = (performance.now() - startedMs) / 1_000;
  if (ended.state !== "succeeded" || ended.counts.succeeded !== rows) {
    throw new Error(`expected ${rows} nodes, found ${ended.state} ${JSON.stringify(ended.counts)}`);
  }
  return seconds;
}

async function bare(redisUrl: string, jobs: number, at: string): Promise<number> {
  const connection = openRedis(redisUrl, "blocking", benchLogger);
  const queue = new Queue(`bare-${at}`, { connection });
  const startedMs = performance.now();
  const worker = new Worker(queue.name, () => Promise.resolve(), { connection, concurrency: CONCURRENCY });
  const ended = new Promise<void>((resolve) => {
    let completed = 0;
    worker.on("completed", () => {
      completed += 1;
      if (completed === jobs) resolve();
    });
  });
  for (let from = 0; from < jobs; from += ADD_BULK) {
    const length = Math.min(ADD_BULK, jobs - from);
    const some = Array.from({ length }, (_, i) => ({ name: "node", data: { path: `n${from + i}` } }));
    await queue.addBulk(some.map((job) => ({ ...job, opts: { removeOnComplete: true } })));
  }
  await ended;
  const seconds = (performance.now() - startedMs) / 1_000;
  await worker.close();
  await queue.obliterate({ force: true });
  await queue.close();
  await closeRedis(connection);
  return seconds;
}

/** Milliseconds from the end of each gate to the start of the node behind it. */
async function latencies(cluster: BenchCluster, folder: string): Promise<number[]> {
  const id = await start(cluster, folder, checked("pairs", pairs(PAIRS)));
  // Gates wait from when they are reached.
  for (;;) {
    if ((await cluster.client.status(id)).state === "running") break;
    await systemClock.sleep(20);
  }
  await systemClock.sleep(2_000);
  const run = await cluster.client.status(id);
  const startedMs = performance.now();
  for (let at = 0; at < PAIRS; at += 1) {
    const dueMs = startedMs + (at * 1_000) / READY_PER_SECOND;
    if (dueMs > performance.now()) await systemClock.sleep(dueMs - performance.now());
    await cluster.client.flows.answer(run, `gate-${at}`, {
      isApproved: true,
      by: "bench",
      note: null,
      atMs: Date.now(),
    });
  }
  await cluster.client.wait(id);
  const ends = new Map<string, number>();
  const starts = new Map<string, number>();
  for await (const { path, startedAtMs, durationMs } of cluster.store.files.all(id, 0)) {
    const [kind, at = ""] = path.split("-");
    if (kind === "gate") ends.set(at, (startedAtMs ?? 0) + (durationMs ?? 0));
    else starts.set(at, startedAtMs ?? 0);
  }
  return [...starts].map(([at, ms]) => ms - (ends.get(at) ?? Number.NaN));
}

using folder = scratch("flows");
const seconds = { fan: [] as number[], lattice: [] as number[], bareFan: [] as number[], bareLattice: [] as number[] };
let waits: number[] = [];
{
  await using cluster = await startBenchCluster({ folder: folder.path });
  const { url } = cluster.redis;
  for (let at = 0; at < ROUNDS; at += 1) {
    seconds.fan.push(await secondsOf(cluster, folder.path, fan(WIDTH), WIDTH + 2));
    seconds.bareFan.push(await bare(url, WIDTH + 2, `fan-${at}`));
    seconds.lattice.push(await secondsOf(cluster, folder.path, lattice(ROWS, COLUMNS), ROWS * COLUMNS));
    seconds.bareLattice.push(await bare(url, ROWS * COLUMNS, `lattice-${at}`));
  }
  waits = await latencies(cluster, folder.path);
}
report("flow-edges", {
  ...{ width: WIDTH, rows: ROWS, columns: COLUMNS, rounds: ROUNDS, pairs: PAIRS },
  fanSeconds: round(median(seconds.fan)),
  fanOfBullmq: round(median(seconds.fan) / median(seconds.bareFan)),
  latticeSeconds: round(median(seconds.lattice)),
  latticeOfBullmq: round(median(seconds.lattice) / median(seconds.bareLattice)),
  startP50Ms: quantile(waits, 0.5),
  startP99Ms: quantile(waits, 0.99),
  bar: "fanOfBullmq <= 1.3, latticeOfBullmq <= 1.3, startP50Ms < 10, startP99Ms < 50",
});
