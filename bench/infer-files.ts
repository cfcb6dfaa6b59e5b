/**
 * Bars: 50,000 files of about 1 KB through the shipped classifier, from the enqueuing call to the end of the run with a
 * row per file, against a bare `session.run` loop over the same bytes in memory at its best batch, and against what the engine alone
 * makes of the same files on the disk. Meanwhile the event loop of the worker (here also of the scheduler and the client) is
 * late by less than 20 ms in 99 of 100 cases, and with locks of two seconds no job is taken for lost and no file runs twice.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { systemClock } from "../src/platform/clock.ts";
import { inputSpec } from "../src/contract/run-spec.ts";
import { ModelEngine } from "../src/worker/inference/model-engine.ts";
import { benchLogger, startBenchCluster, type BenchCluster } from "./shared/cluster.ts";
import { submitAll } from "./shared/submit-all.ts";
import { median, report, round, scratch } from "./shared/support.ts";

const FILES = Number(process.env["BENCH_FILES"] ?? 50_000);
const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 3);
const PER_FOLDER = 1_000;
const LENGTH = 1_024;
const SIZES = [8, 16, 32, 64, 128, 256];
const MODEL = resolve("models/file-kind");

/** Text that differs from file to file: the corpus is this repository's own, cut at places that move. */
function contentOf(at: number): Buffer {
  const from = (at * 37) % (corpus.length - LENGTH);
  return corpus.subarray(from, from + LENGTH - (at % 64));
}
const corpus = Buffer.concat(
  ["README.md", "CHANGELOG.md", "package-lock.json", "docs/openapi.json"].map((path) => readFileSync(path)),
);

/** Files per second of the model alone, at the batch that is best. The runtime is loaded here, not through our engine. */
async function bare(): Promise<{ filesPerSecond: number; rows: number }> {
  const session = await InferenceSession.create(join(MODEL, "model.onnx"), {
    intraOpNumThreads: 1,
    logSeverityLevel: 4,
    extra: { session: { intra_op: { allow_spinning: "0" } } },
  });
  let best = { filesPerSecond: 0, rows: 0 };
  for (const rows of SIZES) {
    const bytes = new Uint8Array(rows * LENGTH);
    for (let row = 0; row < rows; row += 1) bytes.set(contentOf(row), row * LENGTH);
    const feeds = { bytes: new Tensor("uint8", bytes, [rows, LENGTH]) };
    await session.run(feeds, ["probabilities"]);
    const calls = Math.ceil(FILES / 4 / rows);
    const startedMs = performance.now();
    for (let call = 0; call < calls; call += 1) await session.run(feeds, ["probabilities"]);
    const filesPerSecond = (calls * rows * 1_000) / (performance.now() - startedMs);
    if (filesPerSecond > best.filesPerSecond) best = { filesPerSecond, rows };
  }
  await session.release();
  return best;
}

/** Files per second of the engine's process, from the disk to answers. */
async function engineAlone(root: string, paths: readonly string[]): Promise<number> {
  const none = () => undefined;
  const metrics = { batch: none, waited: none, outOfMemory: none, restarted: none, ceiling: none, placed: none };
  const engine = new ModelEngine({ clock: systemClock, logger: benchLogger, metrics }, MODEL);
  await engine.ready();
  const input = inputSpec.parse({ kind: "tree", root });
  const placeId = engine.addPlace({ input, inputRules: { minBytes: 0 }, inputRoot: undefined });
  const seconds = await submitAll(engine, placeId, paths);
  await engine.close();
  return paths.length / seconds;
}

const LOCK_MS = 2_000;
const LOOP_TICK_MS = 10;

interface Whole {
  readonly filesPerSecond: number;
  readonly loopLagP99Ms: number;
  /** Attempts at files that came to nothing, and files that were tried more than once. */
  readonly repeated: number;
}

async function whole(cluster: BenchCluster, folder: string, at: number): Promise<Whole> {
  const lag = monitorEventLoopDelay({ resolution: LOOP_TICK_MS });
  lag.enable();
  const startedMs = performance.now();
  const { run } = await cluster.client.run({
    executor: "infer",
    command: [MODEL],
    input: { kind: "tree", root: join(folder, "in") },
    output: join(folder, `out-${at}`),
  });
  const ended = await cluster.client.wait(run.id);
  const seconds = (performance.now() - startedMs) / 1_000;
  lag.disable();
  if (ended.counts.succeeded !== FILES)
    throw new Error(`expected ${FILES} files, found ${JSON.stringify(ended.counts)}`);
  const lines = readFileSync(join(folder, `out-${at}`, "results.jsonl"), "utf8")
    .trimEnd()
    .split("\n").length;
  if (lines !== FILES) throw new Error(`expected ${FILES} lines, found ${lines}`);
  let repeated = (await cluster.store.files.attempts(run.id, { limit: FILES })).length;
  for await (const { attempts } of cluster.store.files.all(run.id, run.epoch)) if (attempts !== 1) repeated += 1;
  const loopLagP99Ms = Math.max(0, lag.percentile(99) / 1e6 - LOOP_TICK_MS);
  return { filesPerSecond: FILES / seconds, loopLagP99Ms, repeated };
}

using folder = scratch("infer");
const paths: string[] = [];
for (let at = 0; at < FILES; at += 1) {
  const part = String(Math.floor(at / PER_FOLDER));
  if (at % PER_FOLDER === 0) mkdirSync(join(folder.path, "in", part), { recursive: true });
  paths.push(`${part}/f${at}.txt`);
  writeFileSync(join(folder.path, "in", part, `f${at}.txt`), contentOf(at));
}
const rates = { bare: [] as number[], engine: [] as number[], whole: [] as Whole[] };
let rows = 0;
{
  await using cluster = await startBenchCluster({ folder: folder.path, lockMs: LOCK_MS });
  for (let at = 0; at < ROUNDS; at += 1) {
    const loop = await bare();
    rows = loop.rows;
    rates.bare.push(loop.filesPerSecond);
    rates.engine.push(await engineAlone(join(folder.path, "in"), paths));
    rates.whole.push(await whole(cluster, folder.path, at));
  }
}
const filesPerSecond = median(rates.whole.map((each) => each.filesPerSecond));
report("infer-files", {
  files: FILES,
  rounds: ROUNDS,
  bareFilesPerSecond: round(median(rates.bare), 0),
  bareRows: rows,
  engineFilesPerSecond: round(median(rates.engine), 0),
  filesPerSecond: round(filesPerSecond, 0),
  seconds: round(FILES / filesPerSecond),
  ratioToBare: round(filesPerSecond / median(rates.bare)),
  ratioToEngine: round(filesPerSecond / median(rates.engine)),
  loopLagP99Ms: round(median(rates.whole.map((each) => each.loopLagP99Ms)), 1),
  repeated: Math.max(...rates.whole.map((each) => each.repeated)),
  bar: "ratioToBare >= 0.5, ratioToEngine >= 0.8, seconds < 60, loopLagP99Ms < 20, repeated = 0",
});
