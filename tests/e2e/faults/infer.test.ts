/** Runs of a model whose engines and workers are killed in the middle: nothing is lost, nothing is there twice. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { MiB } from "../../../src/contract/resources.ts";
import { FaultCluster, PATIENT } from "../../support/fault-cluster.ts";
import { hungryModel, modelFolder } from "../../support/tiny-onnx.ts";
import type { TsProcess } from "../../support/ts-process.ts";

/** Of a run that was not resumed. */
const EPOCH = 0;

interface Line {
  readonly path: string;
  readonly outcome: string;
  readonly values?: readonly number[];
}

/** A model that takes its time: `width` times `width` floats for each file, which say the square of its byte. */
function slowModel(cluster: FaultCluster, width: number): string {
  return modelFolder(cluster.scratch, "model", hungryModel(), {
    task: "regress",
    input: { kind: "bytes", tensor: "x", windows: [{ at: "head", length: width }] },
    output: { tensor: "y" },
    batch: { max_rows: 16 },
  });
}

function writeInputs(cluster: FaultCluster, count: number): void {
  for (let at = 0; at < count; at += 1) writeFileSync(join(cluster.input, `f${at}`), Buffer.from([1 + (at % 9)]));
}

function startInfer(cluster: FaultCluster, model: string, chunkFiles: number): Promise<string> {
  return cluster.run({
    executor: "infer",
    command: [model],
    input: { kind: "tree", root: cluster.input },
    output: { root: cluster.output, from: "results" },
    chunk: { maxFiles: chunkFiles },
    resources: { memoryBytes: 256 * MiB },
  });
}

/** Processes that have a model loaded, below a worker. */
function enginesOf({ pid }: TsProcess): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((each) => textOf(`/proc/${each}/stat`).split(") ")[1]?.split(" ")[1] === String(pid))
    .filter((each) => textOf(`/proc/${each}/cmdline`).includes("inference/engine.js"));
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return ""; // It ended in between.
  }
}

/** Every file has one row and one line, and both say what the model says of it. */
async function expectAll(cluster: FaultCluster, runId: string, count: number): Promise<void> {
  const { counts } = await cluster.ended(runId);
  expect(counts).toMatchObject({ total: count, succeeded: count, failed: 0 });
  const squareOf = (path: string) => (1 + (Number(path.slice(1)) % 9)) ** 2;
  const lines = readFileSync(join(cluster.output, "results.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
  expect(lines).toHaveLength(count);
  expect(new Set(lines.map(({ path }) => path)).size).toBe(count);
  expect(lines.filter(({ path, values }) => values?.[0] !== squareOf(path))).toEqual([]);
  const rows: string[] = [];
  for await (const row of cluster.store.files.all(runId, EPOCH)) rows.push(row.path);
  expect(rows).toHaveLength(count);
  await cluster.expectNothingLeft(runId);
}

const KILL_MS = 2_000;

test("an engine that is killed every two seconds loses none of five thousand files and answers none twice", async () => {
  await using cluster = await FaultCluster.open();
  const files = 5_000;
  writeInputs(cluster, files);
  const worker = await cluster.worker();
  const runId = await startInfer(cluster, slowModel(cluster, 2_500), 512);
  const killed = new Set<number>();
  const killing = setInterval(() => {
    for (const pid of enginesOf(worker)) {
      killed.add(pid);
      process.kill(pid, "SIGKILL");
    }
  }, KILL_MS);
  try {
    await expectAll(cluster, runId, files);
  } finally {
    clearInterval(killing);
  }
  expect(killed.size).toBeGreaterThanOrEqual(2);
});

test("a worker that is killed in the middle of a run of a model loses no file, and its engine ends with it", async () => {
  await using cluster = await FaultCluster.open();
  const files = 2_000;
  writeInputs(cluster, files);
  const [first] = [await cluster.worker({ id: "one" }), await cluster.worker({ id: "two" })];
  const runId = await startInfer(cluster, slowModel(cluster, 1_000), 100);
  // Rows of both are there, so both are at it.
  const workersAtIt = async () => {
    const rows = await cluster.store.files.page(runId, EPOCH, { limit: files });
    return new Set(rows.map(({ workerId }) => workerId));
  };
  await expect.poll(async () => [...(await workersAtIt())].toSorted(), PATIENT).toEqual(["one", "two"]);
  const engines = enginesOf(first);
  expect(engines).toHaveLength(1);
  first.child.kill("SIGKILL");
  await first.ended();
  await expect.poll(() => engines.filter((pid) => existsSync(`/proc/${pid}`)), PATIENT).toEqual([]);
  expect((await cluster.client.status(runId)).state).toBe("running");
  await expectAll(cluster, runId, files);
});
