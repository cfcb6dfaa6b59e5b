/**
 * Law 5: heavy work does not land on the worker's own event loop. What is measured is robust on a busy machine: the CPU
 * time of the worker's main thread, which other programs do not add to, and with a wide margin the loop's own histogram.
 * The second test does the same to a worker that computes on its loop, and shows that it would be found out.
 */
import { createHash } from "node:crypto";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { FaultCluster } from "../../support/fault-cluster.ts";
import type { TsProcess } from "../../support/ts-process.ts";

const MiB = 2 ** 20;
const BIG_BYTES = 4_096 * MiB;
const MOST_LAG_SECONDS = 0.5;
const TICK_MS = 10;

/** CPU time of the main thread, in which the event loop runs; the threads of the executor have lines of their own. */
function loopCpuMs({ pid }: TsProcess): number {
  const stat = readFileSync(`/proc/${pid}/task/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** The 99th percentile in the worker's own histogram, asked of the process itself. */
async function lagSeconds(worker: TsProcess): Promise<number> {
  worker.child.kill("SIGUSR2");
  const line = await worker.line("lag p99 ");
  return Number(line.slice("lag p99 ".length));
}

/** What it takes this machine to hash as many bytes, in CPU time. */
function hashCpuMs(bytes: number): number {
  const block = Buffer.alloc(MiB);
  const sample = 64;
  const before = process.cpuUsage();
  const digest = createHash("sha256");
  for (let at = 0; at < sample; at += 1) digest.update(block);
  digest.digest();
  const { user, system } = process.cpuUsage(before);
  return ((user + system) / 1_000 / sample) * (bytes / MiB);
}

test("while 4 GiB are hashed and five hundred files run, the loop is free and every lock is renewed", async () => {
  await using cluster = await FaultCluster.open();
  const big = join(cluster.input, "big");
  writeFileSync(big, "");
  truncateSync(big, BIG_BYTES);
  const worker = await cluster.worker();
  const spec = { ...cluster.spec(), command: ["/bin/true"], output: { root: cluster.output, from: "none" as const } };
  const before = loopCpuMs(worker);
  expect((await cluster.ended(await cluster.run(spec))).counts).toMatchObject({ total: 1, succeeded: 1 });
  expect(loopCpuMs(worker) - before).toBeLessThan(0.5 * hashCpuMs(BIG_BYTES));
  truncateSync(big, 1);
  for (let at = 0; at < 500; at += 1) writeFileSync(join(cluster.input, `small-${at}`), String(at));
  const many = await cluster.run({ ...spec, chunk: { maxFiles: 500 } });
  expect((await cluster.ended(many)).counts).toMatchObject({ total: 501, succeeded: 501 });
  expect(await lagSeconds(worker)).toBeLessThan(MOST_LAG_SECONDS);
  expect(worker.output()).not.toContain("could not be renewed");
  expect(worker.output()).not.toContain("job let go");
});

test("while a model runs over ten thousand files, the loop is free and every lock is renewed", async () => {
  await using cluster = await FaultCluster.open();
  const files = 10_000;
  for (let at = 0; at < files; at += 1)
    writeFileSync(join(cluster.input, `f${at}`), `select ${at} from t;\n`.repeat(40));
  const worker = await cluster.worker();
  const runId = await cluster.run({
    executor: "infer",
    command: [join(import.meta.dirname, "../../fixtures/models/filetype")],
    input: { kind: "tree", root: cluster.input },
    output: { root: cluster.output, from: "results" },
  });
  expect((await cluster.ended(runId)).counts).toMatchObject({ total: files, succeeded: files });
  expect(await lagSeconds(worker)).toBeLessThan(MOST_LAG_SECONDS);
  expect(await cluster.store.files.attempts(runId, { limit: 10 })).toEqual([]);
  for (const line of ["could not be renewed", "job let go", "taken back"]) expect(worker.output()).not.toContain(line);
});

test("a worker that computes on its loop is found out by the same figures", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(10);
  const worker = await cluster.worker({ blockMs: 600, lockMs: 30_000 });
  const before = loopCpuMs(worker);
  const runId = await cluster.run(cluster.spec("true", { chunk: { maxFiles: 1 } }));
  expect((await cluster.ended(runId, 250_000)).counts).toMatchObject({ total: 10, succeeded: 10 });
  expect(await lagSeconds(worker)).toBeGreaterThan(MOST_LAG_SECONDS);
  expect(loopCpuMs(worker) - before).toBeGreaterThan(0.5 * hashCpuMs(BIG_BYTES));
});
